#include "common/http/metrics.h"

#include <prometheus/gauge.h>
#include <prometheus/text_serializer.h>

namespace tessera::http {
namespace {

const prometheus::Histogram::BucketBoundaries& Buckets() {
  static const prometheus::Histogram::BucketBoundaries kSeconds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  return kSeconds;
}

}  // namespace

Metrics::Metrics(const std::string& component)
    : registry_(std::make_shared<prometheus::Registry>()),
      requests_(prometheus::BuildCounter()
                    .Name("tessera_" + component + "_requests_total")
                    .Help("Requests by verb and result.")
                    .Register(*registry_)),
      durations_(prometheus::BuildHistogram()
                     .Name("tessera_" + component + "_request_duration_seconds")
                     .Help("Time from a parsed request to its answer.")
                     .Register(*registry_)) {
  prometheus::BuildGauge()
      .Name("tessera_build_info")
      .Help("Always 1; the labels say which component and version this is.")
      .Register(*registry_)
      .Add({{"component", component}, {"version", TESSERA_VERSION}})
      .Set(1);
}

std::string Metrics::Render() const {
  return prometheus::TextSerializer{}.Serialize(registry_->Collect());
}

void Metrics::Observe(std::string_view verb, std::string_view result,
                      std::chrono::steady_clock::duration duration) {
  const std::string verb_text(verb);
  requests_.Add({{"verb", verb_text}, {"result", std::string(result)}}).Increment();
  durations_.Add({{"verb", verb_text}}, Buckets())
      .Observe(std::chrono::duration<double>(duration).count());
}

}  // namespace tessera::http
