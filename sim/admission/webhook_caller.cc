#include "sim/admission/webhook_caller.h"

namespace tessera::sim {
namespace {

constexpr const char* kWebhookName = "pods.tessera.dev";

http::ClientOptions Options(const std::string& url, const std::string& ca_file,
                            std::chrono::seconds timeout) {
  http::ClientOptions options;
  options.base_url = SplitUrl(url, timeout).base_url;
  options.ca_file = ca_file;
  options.timeout = timeout;
  return options;
}

}  // namespace

WebhookTarget SplitUrl(const std::string& url, std::chrono::seconds timeout) {
  const std::size_t scheme = url.find("://");
  const std::size_t slash = url.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  const std::string path = slash == std::string::npos ? "/" : url.substr(slash);
  return {url.substr(0, slash), path + "?timeout=" + std::to_string(timeout.count()) + "s"};
}

WebhookCaller::WebhookCaller(const std::string& url, const std::string& ca_file,
                             std::chrono::seconds timeout)
    : target_(SplitUrl(url, timeout).target), client_(Options(url, ca_file, timeout)) {}

Result<AdmissionAnswer> WebhookCaller::Call(const rapidjson::Value& pod,
                                            const std::string& name_space, bool dry_run) {
  const std::string uid = "review-" + std::to_string(++calls_);
  TESSERA_TRY(const auto answer, client_.Post(target_, BuildReview(pod, name_space, uid, dry_run),
                                              {{"User-Agent", "kube-apiserver-admission"}}));
  if (answer.status != 200) {
    return Fail(Errc::kUnavailable,
                "the webhook answered with status " + std::to_string(answer.status));
  }
  return ReadReview(answer.body, uid);
}

AdmissionAnswer WebhookCaller::Review(const rapidjson::Value& pod, const std::string& name_space,
                                      bool dry_run) {
  const std::string name = std::string("\"") + kWebhookName + "\"";
  auto answer = Call(pod, name_space, dry_run);
  if (!answer) {
    return {
        false, 500,
        "Internal error occurred: failed calling webhook " + name + ": " + answer.error().message,
        ""};
  }
  if (!answer->allowed) {
    answer->message = "admission webhook " + name + " denied the request" +
                      (answer->message.empty() ? " without explanation" : ": " + answer->message);
  }
  return *std::move(answer);
}

}  // namespace tessera::sim
