#include "extender/preempt.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "binpack/fit.h"
#include "common/base/log.h"

namespace tessera::extender {
namespace {

using binpack::Tenant;

bool Contains(const std::vector<std::string>& uids, const std::string& uid) {
  return std::find(uids.begin(), uids.end(), uid) != uids.end();
}

const Tenant* Find(const std::vector<Tenant>& tenants, const std::string& uid) {
  const auto found = std::find_if(tenants.begin(), tenants.end(),
                                  [&](const Tenant& tenant) { return tenant.uid == uid; });
  return found == tenants.end() ? nullptr : &*found;
}

}  // namespace

/// What to do on one node.
struct Preempt::Plan {
  NodeVictims victims;
  binpack::Placement placement{};
  std::size_t strangers = 0;  ///< victims without GPUs: their priority is not known here
  binpack::EvictionRank rank{};

  /// kube-scheduler's own order of nodes, as far as it can be told here.
  bool operator<(const Plan& other) const {
    const auto key = [](const Plan& plan) {
      return std::tie(plan.victims.pdb_violations, plan.strangers, plan.rank, plan.victims.node);
    };
    return key(*this) < key(other);
  }
};

Preempt::Preempt(Cache& cache, const Ranking& ranking, std::function<bool()> synced)
    : cache_(cache), ranking_(ranking), synced_(std::move(synced)) {}

std::optional<Preempt::Plan> Preempt::PlanFor(const WirePod& pod,
                                              const NodeVictims& offered) const {
  auto occupancy = cache_.OccupancyOf(offered.node, pod.uid, pod.priority);
  if (!occupancy) return std::nullopt;
  const auto model = ranking_.model();
  std::vector<Tenant>& tenants = occupancy->tenants;
  binpack::NodeInfo without = occupancy->node;
  for (const Tenant& tenant : tenants) {
    if (tenant.terminating || Contains(offered.uids, tenant.uid))
      binpack::Release(without, tenant.reservation);
  }
  Plan plan{
      .victims = {.node = offered.node, .uids = {}, .pdb_violations = offered.pdb_violations}};
  if (auto placement = binpack::FindPlacement(without, pod.request, model.get())) {
    plan.victims.uids = offered.uids;
    plan.placement = *std::move(placement);
  } else {
    auto eviction =
        binpack::FindEviction(occupancy->node, tenants, pod.request, pod.priority, model.get());
    if (!eviction) return std::nullopt;
    plan.victims.uids = std::move(eviction->victims);
    plan.placement = std::move(eviction->placement);
    for (const std::string& uid : offered.uids) {
      if (Find(tenants, uid) == nullptr) plan.victims.uids.push_back(uid);
    }
  }
  for (const std::string& uid : plan.victims.uids) {
    const Tenant* tenant = Find(tenants, uid);
    if (tenant == nullptr) {
      ++plan.strangers;
    } else {
      plan.rank.Add(tenant->priority);
    }
  }
  // kube-scheduler takes a node without victims for an error.
  return plan.victims.uids.empty() ? std::nullopt : std::optional(std::move(plan));
}

Result<std::vector<NodeVictims>> Preempt::Handle(const PreemptionArgs& args) const {
  if (!synced_()) return Fail(Errc::kUnavailable, "cache not synced");
  if (args.pod.request.containers.empty()) return args.nodes;
  if (!args.pod.managed) return std::vector<NodeVictims>{};  // nobody would bind it: see Bind
  std::optional<Plan> best;
  for (const NodeVictims& offered : args.nodes) {
    auto plan = PlanFor(args.pod, offered);
    if (plan && (!best || *plan < *best)) best = std::move(plan);
  }
  if (!best) return std::vector<NodeVictims>{};
  cache_.Nominate(args.pod.uid, best->victims.node, args.pod.request, args.pod.priority,
                  std::move(best->placement));
  log::Info("pod preempts", {{"pod", args.pod.key()},
                             {"node", best->victims.node},
                             {"uid", args.pod.uid},
                             {"victims", best->victims.uids.size()}});
  return std::vector<NodeVictims>{std::move(best->victims)};
}

}  // namespace tessera::extender
