#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/kube/client.h"
#include "webhook/certificate_store.h"
#include "webhook/service.h"

namespace tessera::webhook {

/// What the webhook does besides answering: keeps its own certificate fresh and finds out the
/// delivery. Nothing here stops it from answering: a failure is logged and tried again. One thread
/// only.
class Upkeep {
 public:
  static constexpr std::chrono::seconds kRetry{10};
  static constexpr std::chrono::hours kRefresh{1};  ///< a cluster may be upgraded under us

  /// Null: that task does not exist. All must outlive this.
  struct Tasks {
    CertificateStore* certificates = nullptr;
    kube::Client* version_source = nullptr;  ///< for --delivery auto
  };
  Upkeep(Tasks tasks, AdmissionService& service, const Clock& clock);

  /// Does what is due. Cheap when nothing is.
  void Tick();

 private:
  void RefreshCertificates();
  void RefreshDelivery();

  const Tasks tasks_;
  AdmissionService& service_;
  const Clock& clock_;
  std::chrono::steady_clock::time_point next_certificates_;
  std::chrono::steady_clock::time_point next_delivery_;
};

}  // namespace tessera::webhook
