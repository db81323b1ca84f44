#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "common/kube/client.h"
#include "common/kube/lease_record.h"

namespace tessera::kube {

struct LeaseOptions {
  std::string ns;
  std::string name;
  std::string identity;  ///< unique: "pod-name_uuid"
  std::chrono::seconds duration{15};
  std::chrono::seconds renew_deadline{10};  ///< without a renewal for so long we no longer lead
  std::chrono::seconds retry_period{2};
};

/// Holds a coordination.k8s.io/v1 Lease, or waits for it. Thread-safe.
///
///   follower -> (free, or not renewed for its duration) -> leader -> (renew_deadline, stolen,
///   Stop) -> follower
class LeaderElector {
 public:
  /// `on_change` is called with leader() from the elector's thread. `client` and `clock` must
  /// outlive it.
  LeaderElector(Client& client, const Clock& clock, LeaseOptions options,
                std::function<void(bool leader)> on_change);
  ~LeaderElector();  ///< stops

  void Start();
  /// Gives the lease back if it is ours. Twice is fine.
  void Stop();
  /// False as soon as renew_deadline has passed since the last renewal, whatever the thread does.
  bool leader() const;

  /// One attempt to get or keep the lease; what the thread does every retry_period.
  void Tick();
  void Release();

 private:
  Result<void> Attempt();
  void Hold(const LeaseRecord& record, LeaseJudge::TimePoint asked_at);
  void Tell();

  Client& client_;
  const Clock& clock_;
  const LeaseOptions options_;
  const std::function<void(bool)> on_change_;
  const std::string collection_;
  LeaseJudge judge_;   // Tick's thread only
  bool told_ = false;  // Tick's thread only
  mutable std::mutex mu_;
  bool held_ TESSERA_GUARDED_BY(mu_) = false;
  LeaseRecord record_ TESSERA_GUARDED_BY(mu_);
  LeaseJudge::TimePoint renewed_at_ TESSERA_GUARDED_BY(mu_);
  std::jthread thread_;
};

}  // namespace tessera::kube
