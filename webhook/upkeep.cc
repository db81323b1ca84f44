#include "webhook/upkeep.h"

#include "common/base/log.h"
#include "common/json/json.h"
#include "webhook/delivery.h"

namespace tessera::webhook {
namespace {

Result<Delivery> AskDelivery(kube::Client& client) {
  TESSERA_TRY(const auto version, client.Get("/version"));
  return DeliveryForVersion(json::Dump(version));
}

}  // namespace

Upkeep::Upkeep(Tasks tasks, AdmissionService& service, const Clock& clock)
    : tasks_(tasks), service_(service), clock_(clock) {}

void Upkeep::Tick() {
  const auto now = clock_.Now();
  if (tasks_.certificates != nullptr && now >= next_certificates_) RefreshCertificates();
  if (tasks_.version_source != nullptr && now >= next_delivery_) RefreshDelivery();
}

void Upkeep::RefreshCertificates() {
  const auto renewed = tasks_.certificates->EnsureFresh();
  next_certificates_ = clock_.Now() + kRetry;
  if (!renewed) log::Error("certificate not renewed", {{"reason", renewed.error().message}});
  if (renewed && *renewed) {
    log::Info("certificate renewed", {{"file", tasks_.certificates->certificate_file()}});
  }
}

void Upkeep::RefreshDelivery() {
  const auto delivery = AskDelivery(*tasks_.version_source);
  next_delivery_ = clock_.Now() + (delivery ? std::chrono::seconds(kRefresh) : kRetry);
  if (!delivery) {
    log::Warn(
        "server version unknown; delivery stays",
        {{"delivery", DeliveryName(service_.delivery())}, {"reason", delivery.error().message}});
  } else if (*delivery != service_.delivery()) {
    service_.SetDelivery(*delivery);
    log::Info("delivery chosen", {{"delivery", DeliveryName(*delivery)}});
  }
}

}  // namespace tessera::webhook
