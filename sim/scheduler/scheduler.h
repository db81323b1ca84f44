#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include <rapidjson/document.h>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"
#include "common/kube/client.h"
#include "common/kube/reflector.h"
#include "sim/scheduler/decision.h"
#include "sim/scheduler/queue.h"

namespace tessera::sim {

/// Plays kube-scheduler for the pods that name `scheduler_name`: one thread decides, one binds, and
/// the next pod is decided while the last one is still being bound (its resources count already). A
/// pod that fits nowhere gets the condition PodScheduled=False with kube-scheduler's words and is
/// tried again when nodes or bound pods change. Start and Stop from one thread.
class Scheduler {
 public:
  /// The references must outlive the scheduler.
  Scheduler(kube::Client& client, Extender& extender, SchedulerPolicy policy, const Clock& clock,
            std::string scheduler_name);
  ~Scheduler();  ///< stops

  void Start();
  void Stop();

 private:
  using Object = std::shared_ptr<const rapidjson::Document>;
  struct Assigned {
    std::string node;
    Resources resources;
  };
  struct Bind {
    Object pod;
    std::string uid;
    std::string node;
  };

  void OnNode(const rapidjson::Value& node);
  void OnNodeGone(std::string_view key);
  void OnPod(const rapidjson::Value& pod);
  void OnPodGone(const std::string& uid);
  void DecideLoop(const std::stop_token& stop);
  void BindLoop(const std::stop_token& stop);
  void DecideOne(const std::string& uid);
  void BindOne(const Bind& bind);
  Result<void> CallBind(const Bind& bind);
  std::vector<NodeView> SnapshotLocked() const;
  void WakeLocked();
  void OnSynced(bool& which);
  void Reject(const Object& pod, const std::string& uid, SchedulingQueue::Why why,
              const std::string& message);

  kube::Client& client_;
  Extender& extender_;
  const SchedulerPolicy policy_;
  const Clock& clock_;
  const std::string scheduler_name_;

  std::mutex mu_;
  std::condition_variable_any wake_decide_;
  std::condition_variable_any wake_bind_;
  std::map<std::string, NodeView> nodes_ TESSERA_GUARDED_BY(mu_);     ///< `used` stays empty here
  std::map<std::string, Assigned> assigned_ TESSERA_GUARDED_BY(mu_);  ///< by uid: bound or assumed
  std::map<std::string, Object> pending_ TESSERA_GUARDED_BY(mu_);     ///< by uid
  std::deque<Bind> binds_ TESSERA_GUARDED_BY(mu_);
  SchedulingQueue queue_ TESSERA_GUARDED_BY(mu_);
  bool news_ TESSERA_GUARDED_BY(mu_) = false;  ///< for the deciding thread

  bool nodes_synced_ TESSERA_GUARDED_BY(mu_) = false;
  bool pods_synced_ TESSERA_GUARDED_BY(mu_) = false;

  kube::Reflector node_reflector_;
  kube::Reflector pod_reflector_;
  std::jthread decide_thread_;
  std::jthread bind_thread_;
};

/// The merge patch of pods/status that sets PodScheduled=False beside the pod's other conditions;
/// empty if the pod says so already. `now` in RFC 3339. Pure.
std::string UnscheduledPatch(const rapidjson::Value& pod, const std::string& reason,
                             const std::string& message, const std::string& now);

}  // namespace tessera::sim
