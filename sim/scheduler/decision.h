#pragma once

#include <map>
#include <string>
#include <vector>

#include <rapidjson/document.h>

#include "sim/scheduler/extender.h"
#include "sim/scheduler/resources.h"

/// One scheduling cycle of kube-scheduler, as far as this simulation has it. Pure but for the
/// extender's calls.
namespace tessera::sim {

/// A node as the scheduler's snapshot has it.
struct NodeView {
  std::string name;
  bool unschedulable = false;  ///< spec.unschedulable
  std::map<std::string, std::string> labels;
  Resources capacity;
  Resources used;  ///< by the pods that are bound or assumed there
};

struct Decision {
  enum class Kind {
    kNode,           ///< `node` was chosen
    kUnschedulable,  ///< no node fits now; `message` says why
    kError,          ///< the extender failed; try again after a back-off
  };
  Kind kind = Kind::kUnschedulable;
  std::string node;
  std::string message;
};

struct SchedulerPolicy {
  /// The extender is asked only for pods that request one of these (managedResources).
  std::vector<std::string> managed_resources;
  std::int64_t weight = 1;  ///< of the extender's scores
};

/// Whether the extender has a say about this pod.
bool IsManaged(const Resources& wanted, const SchedulerPolicy& policy);

/// The order is kube-scheduler's: the built-in filters, then the extender's filter over what is
/// left, then its prioritize, which is left out if only one node remains. Equal scores: the first
/// name wins. An error of prioritize costs the scores only; an error of filter, or a node that was
/// not asked about, is the pod's error.
Decision Decide(const rapidjson::Value& pod, const std::vector<NodeView>& nodes, Extender& extender,
                const SchedulerPolicy& policy);

/// "0/3 nodes are available: 1 Insufficient x, 2 no GPU." from node -> reasons; reasons sorted as
/// texts with counts.
std::string UnschedulableMessage(std::size_t nodes,
                                 const std::map<std::string, std::vector<std::string>>& reasons);

}  // namespace tessera::sim
