#include "sim/apiserver/command.h"

#include <filesystem>
#include <fstream>
#include <memory>

#include "common/base/log.h"
#include "common/json/json.h"
#include "common/json/json_patch.h"
#include "sim/admission/webhook_caller.h"

namespace tessera::sim {
namespace {

constexpr std::chrono::seconds kWebhookTimeout{5};

int Fail(const std::string& reason) {
  log::Error("cannot serve", {{"reason", reason}});
  return 1;
}

/// Atomically, so that a reader sees the whole text or nothing.
bool WriteFile(const std::string& file, const std::string& text) {
  if (file.empty()) return true;
  const std::string fresh = file + ".new";
  std::ofstream out(fresh, std::ios::binary);
  out << text;
  out.close();
  std::error_code code;
  if (!out.fail()) std::filesystem::rename(fresh, file, code);
  return !out.fail() && !code;
}

Reply<void> ApplyAnswer(const AdmissionAnswer& answer, rapidjson::Document& object) {
  if (!answer.allowed) {
    return Refuse(answer.code, answer.code == 500 ? "InternalError" : "Forbidden", answer.message);
  }
  if (answer.json_patch.empty()) return {};
  const auto patch = json::Parse(answer.json_patch);
  const auto applied =
      patch ? json::ApplyPatch(object, *patch) : Result<void>(tl::make_unexpected(patch.error()));
  if (applied) return {};
  return Refuse(500, "InternalError", "the webhook's patch: " + applied.error().message);
}

}  // namespace

AdmissionHook WebhookAdmission(WebhookCaller& caller) {
  return [&caller](const AdmissionRequest& request, rapidjson::Document& object) -> Reply<void> {
    const bool pod = request.target.resource != nullptr && request.target.resource->group.empty() &&
                     request.target.resource->plural == "pods";
    if (!pod || !request.target.subresource.empty() || request.operation != "CREATE") return {};
    return ApplyAnswer(caller.Review(object, request.target.ns, request.dry_run), object);
  };
}

int RunApiServer(const ApiServerCommand& command, ShutdownSignal& shutdown) {
  std::unique_ptr<WebhookCaller> caller;
  if (!command.webhook_url.empty()) {
    caller =
        std::make_unique<WebhookCaller>(command.webhook_url, command.webhook_ca, kWebhookTimeout);
  }
  ApiServerOptions options;
  options.port = command.port;
  const auto server = ApiServer::Start(options);
  if (!server) return Fail(server.error().message);
  if (caller) (*server)->SetAdmission(WebhookAdmission(*caller));
  const auto kubeconfig = (*server)->Kubeconfig("kubernetes-admin");
  if (!kubeconfig) return Fail(kubeconfig.error().message);
  if (!WriteFile(command.kubeconfig_out, *kubeconfig)) return Fail(command.kubeconfig_out);
  const std::string& url = (*server)->url();
  if (!WriteFile(command.port_file, url.substr(url.rfind(':') + 1) + "\n")) {
    return Fail(command.port_file);
  }
  log::Info("serving", {{"url", url}});
  shutdown.Wait();
  (*server)->Stop();
  return 0;
}

}  // namespace tessera::sim
