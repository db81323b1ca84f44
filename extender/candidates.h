#pragma once

#include <memory>
#include <string>
#include <vector>

#include "extender/snapshot.h"
#include "extender/wire.h"

namespace tessera::extender {

/// A node that the scheduler asks about, as one pod sees it: without what the pod itself holds
/// tentatively.
struct Candidate {
  std::string name;
  /// Not empty: nothing may be placed here. `resolvable` as in Reasons.
  std::string_view refusal{};
  bool resolvable = false;
  const NodeView* view = nullptr;  ///< of the snapshot; null for nodes that the cache does not know
  std::shared_ptr<binpack::NodeInfo> own{};  ///< where the view does not serve

  const binpack::NodeInfo& node() const { return own ? *own : view->held; }
};

/// The nodes of `args`, in its order. Nodes that the cache knows are judged by the cache; a whole
/// object of an unknown node (a simulation's) by the annotation it carries. `snapshot` must outlive
/// the candidates.
std::vector<Candidate> CandidatesOf(const ExtenderArgs& args, const Snapshot& snapshot);

}  // namespace tessera::extender
