#include "agent/publisher.h"

#include <algorithm>
#include <utility>

#include "agent/wire.h"
#include "common/base/log.h"

namespace tessera::agent {

NodePublisher::NodePublisher(kube::Client& client, std::string node_name, const Clock& clock)
    : client_(client), node_name_(std::move(node_name)), clock_(clock) {}

void NodePublisher::SetInventory(contract::Inventory inventory) {
  const std::lock_guard lock(mu_);
  if (wanted_ == inventory) return;
  wanted_ = std::move(inventory);
  dirty_ = true;
}

void NodePublisher::Observe(NodeView node) {
  const std::lock_guard lock(mu_);
  if (seen_ == node) return;
  seen_ = std::move(node);
  dirty_ = true;
}

void NodePublisher::ObserveGone() {
  const std::lock_guard lock(mu_);
  seen_.reset();
  problem_ = "node " + node_name_ + " does not exist";
}

std::optional<NodePublisher::Work> NodePublisher::TakeWork() {
  const std::lock_guard lock(mu_);
  if (!dirty_ || !wanted_ || !seen_ || clock_.Now() < not_before_) return std::nullopt;
  dirty_ = false;
  if (PlanNode(*seen_, *wanted_).empty()) {
    problem_.clear();
    return std::nullopt;
  }
  return Work{*wanted_};
}

Result<int> NodePublisher::Write(const Work& work) {
  TESSERA_TRY(const auto object, client_.Get(Path()));
  TESSERA_TRY(const NodeView fresh, DecodeNode(object));
  const NodePatches patches = PlanNode(fresh, work.inventory);
  int writes = 0;
  if (patches.metadata) {
    TESSERA_TRY([[maybe_unused]] const auto node,
                client_.Patch(Path(), kube::PatchType::kMerge, *patches.metadata));
    ++writes;
    log::Info("inventory written", {{"node", node_name_}, {"gpus", work.inventory.gpus.size()}});
  }
  if (patches.status) {
    TESSERA_TRY([[maybe_unused]] const auto node,
                client_.Patch(Path() + "/status", kube::PatchType::kMerge, *patches.status));
    ++writes;
    log::Info("capacity written", {{"node", node_name_}});
  }
  return writes;
}

void NodePublisher::Settle(const Result<int>& result) {
  const std::lock_guard lock(mu_);
  if (result) {
    pause_ = std::chrono::seconds(0);
    problem_.clear();
    if (*result > 0) PauseAfterWrite();
    return;
  }
  dirty_ = true;
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  not_before_ = clock_.Now() + pause_;
  problem_ = result.error().message;
}

void NodePublisher::PauseAfterWrite() {
  const auto now = clock_.Now();
  if (!written_ || now - *written_ >= kCalm) {
    in_a_row_ = 0;
    calming_ = std::chrono::seconds(0);
  }
  if (++in_a_row_ >= kAtOnce) calming_ = std::clamp(calming_ * 2, kFirstPause, kLongestPause);
  not_before_ = now + calming_;
  written_ = now;
}

Result<int> NodePublisher::Reconcile() {
  const auto work = TakeWork();
  if (!work) return 0;
  auto result = Write(*work);
  Settle(result);
  return result;
}

std::string NodePublisher::NotPublishedReason() const {
  const std::lock_guard lock(mu_);
  return problem_;
}

}  // namespace tessera::agent
