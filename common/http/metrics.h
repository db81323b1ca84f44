#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace tessera::http {

/// The metrics of one server: the registry that /metrics shows, tessera_build_info, and requests by
/// verb:
///   tessera_<component>_requests_total{verb,result}
///   tessera_<component>_request_duration_seconds{verb}    buckets from 0.5 ms to 10 s
/// Thread-safe. Register own families at start-up: prometheus-cpp throws on a bad name.
class Metrics {
 public:
  /// `component` as in "extender": lower case and underscores.
  explicit Metrics(const std::string& component);

  prometheus::Registry& registry() { return *registry_; }
  /// The text format of Prometheus; for Server::ServeMetrics.
  std::string Render() const;

  /// One request. `verb` and `result` ("ok", "error", …) come from small fixed sets, never from
  /// input.
  void Observe(std::string_view verb, std::string_view result,
               std::chrono::steady_clock::duration duration);

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& durations_;
};

}  // namespace tessera::http
