#include "extender/candidates.h"

#include <algorithm>

namespace tessera::extender {
namespace {

constexpr std::string_view kNotKnownYet = "the node is not known yet";

bool SomeYield(const NodeView& view, const WirePod& pod) {
  return std::any_of(view.holds.begin(), view.holds.end(), [&](const TentativeHold& hold) {
    return NodeView::Yields(hold, pod.uid, pod.priority);
  });
}

Verdict OfSimulated(const WireNode& node, const VerdictCache::Reader& verdicts) {
  if (!node.inventory) return {.refusal = kRefusalNoInventory};
  if (!*node.inventory) return {.refusal = kRefusalBadInventory};
  return verdicts.Fresh(binpack::MakeNode(node.name, (*node.inventory)->gpus));
}

}  // namespace

std::vector<std::string> AllNames(const ExtenderArgs& args) {
  if (args.node_names) return *args.node_names;
  std::vector<std::string> names;
  for (const WireNode& node : args.nodes) names.push_back(node.name);
  return names;
}

void JudgeAll(const ExtenderArgs& args, VerdictCache::Reader& verdicts,
              const std::function<void(std::string_view name, const Verdict&)>& each) {
  const Snapshot& snapshot = verdicts.snapshot();
  const auto known = [&](const std::string& name) {
    const auto node = snapshot.NumberOf(name);
    if (!node) return false;
    if (snapshot.node(*node).has_holds && SomeYield(snapshot.view(*node), args.pod)) {
      const NodeView& view = snapshot.view(*node);
      each(name, view.refusal.empty()
                     ? verdicts.Fresh(view.HeldByOthers(args.pod.uid, args.pod.priority))
                     : Verdict{.refusal = view.refusal});
    } else {
      each(name, verdicts.Of(*node));
    }
    return true;
  };
  if (args.node_names) {
    for (const std::string& name : *args.node_names) {
      if (!known(name)) each(name, {.refusal = kNotKnownYet, .resolvable = true});
    }
    return;
  }
  for (const WireNode& node : args.nodes) {
    if (!known(node.name)) each(node.name, OfSimulated(node, verdicts));
  }
}

}  // namespace tessera::extender
