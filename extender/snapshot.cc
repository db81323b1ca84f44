#include "extender/snapshot.h"

namespace tessera::extender {

binpack::NodeInfo NodeView::HeldByOthers(std::string_view pod, std::int32_t priority) const {
  binpack::NodeInfo node = held;
  for (const TentativeHold& hold : holds) {
    if (Yields(hold, pod, priority)) binpack::Release(node, hold.reservation);
  }
  return node;
}

std::optional<std::size_t> Snapshot::NumberOf(const std::string& name) const {
  const auto found = index_->find(name);
  return found == index_->end() ? std::nullopt : std::optional(found->second);
}

const NodeView* Snapshot::Find(const std::string& name) const {
  const auto number = NumberOf(name);
  return number ? &view(*number) : nullptr;
}

}  // namespace tessera::extender
