#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include <rapidjson/document.h>

#include "common/http/client.h"
#include "sim/admission/review.h"

namespace tessera::sim {

/// Calls a mutating webhook as kube-apiserver does under failurePolicy Fail: over TLS verified by
/// `ca_file`, with a time-out. Thread-safe.
class WebhookCaller {
 public:
  /// `url` with its path, as in clientConfig.url: "https://127.0.0.1:8443/mutate".
  WebhookCaller(const std::string& url, const std::string& ca_file, std::chrono::seconds timeout);

  /// The webhook's answer; a refusal's message is in kube-apiserver's words. A call that failed is
  /// a refusal with 500: nothing gets in unseen.
  AdmissionAnswer Review(const rapidjson::Value& pod, const std::string& name_space, bool dry_run);

 private:
  Result<AdmissionAnswer> Call(const rapidjson::Value& pod, const std::string& name_space,
                               bool dry_run);

  const std::string target_;
  http::Client client_;
  std::atomic<std::uint64_t> calls_{0};
};

/// "https://host:port" and "/path?timeout=5s" of a webhook's URL. Pure.
struct WebhookTarget {
  std::string base_url;
  std::string target;
};
WebhookTarget SplitUrl(const std::string& url, std::chrono::seconds timeout);

}  // namespace tessera::sim
