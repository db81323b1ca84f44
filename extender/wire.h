#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <rapidjson/document.h>

#include "binpack/types.h"
#include "common/base/result.h"
#include "common/contract/inventory.h"

/// The JSON of kube-scheduler's extender API v1: Go's names, capitalised. Only the fields that we
/// use are decoded. Every error names the field. Format: extender/README.md.
namespace tessera::extender {

/// The pod in ExtenderArgs.
struct WirePod {
  std::string uid;  ///< "namespace/name" where the pod has none, as in simulations
  std::string ns;
  std::string name;
  bool managed = false;  ///< has the label of pods that the webhook has made runnable
  std::int32_t priority = 0;
  binpack::PodRequest request;

  std::string key() const { return ns + "/" + name; }
};

/// A node sent as a whole object.
struct WireNode {
  std::string name;
  std::string object;                                    ///< its JSON, to be sent back unchanged
  std::optional<Result<contract::Inventory>> inventory;  ///< from its annotation
};

/// ExtenderArgs. Exactly one of the lists is there: names, if the scheduler knows us as
/// nodeCacheCapable.
struct ExtenderArgs {
  WirePod pod;
  std::optional<std::vector<std::string>> node_names;
  std::vector<WireNode> nodes;
};

struct FailedNode {
  std::string name;
  std::string reason;
};

/// ExtenderFilterResult.
struct FilterResult {
  std::vector<std::string> node_names;      ///< that pass
  std::vector<std::string> node_objects{};  ///< the same nodes as JSON, if they came so
  bool as_objects = false;
  std::vector<FailedNode> failed{};
  std::vector<FailedNode> failed_and_unresolvable{};
};

struct HostPriority {
  std::string host;
  std::int64_t score = 0;
};

/// A node that kube-scheduler would evict pods from: one entry of NodeNameToMetaVictims, or of
/// NodeNameToVictims.
struct NodeVictims {
  std::string node;
  std::vector<std::string> uids{};
  std::int64_t pdb_violations = 0;
};

/// ExtenderPreemptionArgs.
struct PreemptionArgs {
  WirePod pod;
  std::vector<NodeVictims> nodes;
};

/// ExtenderBindingArgs.
struct BindingArgs {
  std::string ns;
  std::string name;
  std::string uid;
  std::string node;

  std::string key() const { return ns + "/" + name; }
};

/// A pod as the API server has it. `metadata` must be there.
Result<WirePod> ReadPod(const rapidjson::Value& pod);
Result<ExtenderArgs> ParseExtenderArgs(std::string_view text);
Result<BindingArgs> ParseBindingArgs(std::string_view text);
Result<PreemptionArgs> ParsePreemptionArgs(std::string_view text);

std::string FilterResultJson(const FilterResult& result);
std::string FilterErrorJson(std::string_view error);
std::string HostPrioritiesJson(const std::vector<HostPriority>& scores);
/// ExtenderBindingResult; an empty error means bound.
std::string BindingResultJson(std::string_view error);
/// ExtenderPreemptionResult. It has no field for an error: without a node nobody is evicted.
std::string PreemptionResultJson(const std::vector<NodeVictims>& nodes);

}  // namespace tessera::extender
