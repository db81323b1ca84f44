#include "extender/candidates.h"

#include <algorithm>

namespace tessera::extender {
namespace {

constexpr std::string_view kNotKnownYet = "the node is not known yet";

Candidate Known(const NodeView& view, const std::string& pod) {
  Candidate candidate{.name = view.name, .refusal = view.refusal, .view = &view};
  const auto own = [&](const TentativeHold& hold) { return hold.pod == pod; };
  if (std::any_of(view.holds.begin(), view.holds.end(), own)) {
    candidate.own = std::make_shared<binpack::NodeInfo>(view.HeldByOthers(pod));
  }
  return candidate;
}

Candidate Simulated(const WireNode& node) {
  Candidate candidate{.name = node.name};
  if (!node.inventory) {
    candidate.refusal = kRefusalNoInventory;
  } else if (!*node.inventory) {
    candidate.refusal = kRefusalBadInventory;
  } else {
    candidate.own =
        std::make_shared<binpack::NodeInfo>(binpack::MakeNode(node.name, (*node.inventory)->gpus));
  }
  return candidate;
}

}  // namespace

std::vector<Candidate> CandidatesOf(const ExtenderArgs& args, const Snapshot& snapshot) {
  std::vector<Candidate> candidates;
  if (args.node_names) {
    candidates.reserve(args.node_names->size());
    for (const std::string& name : *args.node_names) {
      const NodeView* view = snapshot.Find(name);
      candidates.push_back(
          view != nullptr ? Known(*view, args.pod.uid)
                          : Candidate{.name = name, .refusal = kNotKnownYet, .resolvable = true});
    }
    return candidates;
  }
  for (const WireNode& node : args.nodes) {
    const NodeView* view = snapshot.Find(node.name);
    candidates.push_back(view != nullptr ? Known(*view, args.pod.uid) : Simulated(node));
  }
  return candidates;
}

}  // namespace tessera::extender
