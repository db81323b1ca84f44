#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/http/metrics.h"
#include "common/http/server.h"
#include "webhook/options.h"

namespace tessera::webhook {

/// POST /mutate: bytes in, bytes out; counts and logs. Thread-safe.
///
/// Metrics: tessera_webhook_requests_total{verb="mutate",result} with result allowed, patched,
/// refused or malformed, and tessera_webhook_request_duration_seconds{verb="mutate"}.
class AdmissionService {
 public:
  static constexpr const char* kPath = "/mutate";

  /// `metrics` and `clock` must outlive the service.
  AdmissionService(Options options, http::Metrics& metrics, const Clock& clock);

  /// The answer to one AdmissionReview. Never fails: what cannot be read is refused in an answer.
  std::string Answer(std::string_view body);

  /// The status is always 200: kube-apiserver throws the body of any other away.
  void AddRoute(http::Server& server);

  /// What `--delivery auto` has found out; requests from now on use it.
  void SetDelivery(Delivery delivery) { delivery_.store(delivery); }
  Delivery delivery() const { return delivery_.load(); }

 private:
  const Options options_;
  std::atomic<Delivery> delivery_;
  http::Metrics& metrics_;
  const Clock& clock_;
};

}  // namespace tessera::webhook
