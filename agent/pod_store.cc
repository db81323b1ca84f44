#include "agent/pod_store.h"

#include <utility>

#include "common/base/log.h"

namespace tessera::agent {

void PodStore::Upsert(Pod pod) {
  const std::string key = pod.key();
  const bool keep = !pod.finished && (pod.assignment || !pod.assignment_error.empty());
  if (!keep) {
    Remove(key);
    return;
  }
  const std::lock_guard lock(mu_);
  auto& slot = pods_[key];
  if (slot.assignment_error != pod.assignment_error && !pod.assignment_error.empty()) {
    log::Warn("assignment cannot be read", {{"pod", key}, {"reason", pod.assignment_error}});
  }
  slot = std::move(pod);
}

void PodStore::Remove(std::string_view key) {
  const std::lock_guard lock(mu_);
  if (const auto found = pods_.find(key); found != pods_.end()) pods_.erase(found);
}

std::vector<Pod> PodStore::List() const {
  const std::lock_guard lock(mu_);
  std::vector<Pod> pods;
  pods.reserve(pods_.size());
  for (const auto& [key, pod] : pods_) pods.push_back(pod);
  return pods;
}

}  // namespace tessera::agent
