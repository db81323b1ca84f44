#pragma once

#include <chrono>
#include <string>

#include "common/http/client.h"
#include "sim/scheduler/extender.h"

namespace tessera::sim {

/// The extender over HTTP, with the headers of kube-scheduler's client. Any status but 200 throws
/// the body away, as kube-scheduler does. Thread-safe: bind has its own connection, so it never
/// waits for a filter.
class ExtenderClient final : public Extender {
 public:
  /// `base_url` is urlPrefix: "http://127.0.0.1:9610", verbs are /filter, /prioritize and /bind
  /// below it.
  ExtenderClient(std::string base_url, std::chrono::milliseconds timeout);

  Result<FilterAnswer> Filter(const rapidjson::Value& pod,
                              const std::vector<std::string>& nodes) override;
  Result<std::map<std::string, std::int64_t>> Prioritize(
      const rapidjson::Value& pod, const std::vector<std::string>& nodes) override;
  Result<void> Bind(const BindingArgs& args) override;

 private:
  Result<std::string> Call(http::Client& client, const std::string& verb, const std::string& body);

  const std::string base_url_;
  http::Client schedule_;
  http::Client bind_;
};

}  // namespace tessera::sim
