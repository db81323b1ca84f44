#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <rapidjson/document.h>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "common/kube/client.h"
#include "sim/runner/container_plan.h"
#include "sim/runner/container_runner.h"
#include "sim/runner/pod_status.h"

namespace tessera::sim {

using PodObject = std::shared_ptr<const rapidjson::Document>;

/// Runs one pod from its binding to its deletion: volumes, init containers, sidecars, app
/// containers, status. Owns a thread, and one for each container. Thread-safe.
class PodRunner {
 public:
  /// `node`, `client` and `clock` must outlive the runner.
  PodRunner(PodObject pod, const NodeSettings& node, kube::Client& client, const Clock& clock);
  ~PodRunner();  ///< SIGTERM, after the grace period SIGKILL; removes the volumes

  /// The pod object has changed: downward-API files follow, the next container start uses it.
  void Update(PodObject pod);

 private:
  void Run();
  void BuildContainers(VolumePaths volumes);
  void Advance();
  /// False if the API server did not take it.
  bool Publish(const std::string& phase, const std::string& message);
  void StopContainers();
  bool AllEnded() const;
  PodObject pod() const;
  void Wake();

  const NodeSettings& node_;
  kube::Client& client_;
  const Clock& clock_;
  std::vector<NamedReport> names_;  ///< fixed after BuildContainers; pod thread
  std::vector<std::unique_ptr<ContainerRunner>> containers_;  ///< pod thread
  std::string last_patch_;                                    ///< pod thread
  bool told_ = true;                                          ///< pod thread
  bool done_ = false;                                         ///< pod thread
  mutable std::mutex mu_;
  std::condition_variable wake_;
  PodObject pod_ TESSERA_GUARDED_BY(mu_);
  bool dirty_ TESSERA_GUARDED_BY(mu_) = false;
  bool pod_changed_ TESSERA_GUARDED_BY(mu_) = false;
  bool stopping_ TESSERA_GUARDED_BY(mu_) = false;
  std::jthread thread_;
};

}  // namespace tessera::sim
