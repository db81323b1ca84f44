#include "extender/snapshot.h"

namespace tessera::extender {

binpack::NodeInfo NodeView::HeldByOthers(std::string_view pod) const {
  binpack::NodeInfo node = held;
  for (const TentativeHold& hold : holds) {
    if (hold.pod == pod) binpack::Release(node, hold.reservation);
  }
  return node;
}

const NodeView* Snapshot::Find(const std::string& name) const {
  const auto found = index_->find(name);
  return found == index_->end() ? nullptr : nodes_[found->second].get();
}

}  // namespace tessera::extender
