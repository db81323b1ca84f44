#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <rapidjson/document.h>

#include "binpack/types.h"
#include "common/base/result.h"
#include "common/contract/assignment.h"
#include "common/contract/inventory.h"
#include "sim/demo/console.h"
#include "sim/demo/exposition.h"
#include "sim/demo/probe_report.h"

/// What the demo has seen, and the verdicts on it. Pure.
namespace tessera::sim {

/// One container with a GPU: what it asked for, was given, and saw.
struct ContainerEvidence {
  std::string pod;  ///< namespace/name
  std::string container;
  std::string node;
  binpack::ContainerKind kind = binpack::ContainerKind::kApp;
  std::string asked;  ///< for people: "2 x 20480 MiB, 40 %"
  std::vector<binpack::DeviceShare> shares;
  std::optional<ProbeReport> report;
  std::string log;  ///< file

  std::string name() const { return pod + "/" + container; }
};

/// The containers of a pod that is bound, from its assignment; reports are not filled in. `asked`
/// is the pod as its user wrote it. Errors name what is wrong with the annotation or the request.
Result<std::vector<ContainerEvidence>> PodEvidence(const rapidjson::Value& bound,
                                                   const rapidjson::Value& asked);

/// "2 x 20480 MiB, 40 %".
std::string AskedText(const binpack::GpuRequest& request);

/// Why a container was not held to exactly its limit, or why its probe says that something is odd;
/// empty if all is well. For every GPU: it is one of the assignment's; the total it tells is the
/// limit; allocations were refused with out of memory, and only when not even one more MiB was
/// left; free and allocate again worked.
std::string LimitProblem(const ContainerEvidence& container);

/// Why some GPU was given away beyond its capacity, twice over exclusively, or does not exist;
/// empty if none was. Init containers count by Kubernetes' rule: the larger of theirs and of the
/// rest.
std::string CapacityProblem(const std::vector<ContainerEvidence>& containers,
                            const std::map<std::string, contract::Inventory>& inventory_of_node);

/// Why the agent's page does not tell of `container` what its probe saw; empty if it does.
std::string MetricsProblem(const ContainerEvidence& container, const std::vector<Sample>& page);

/// The table's rows, headline first: one for each container and GPU.
std::vector<std::vector<std::string>> EvidenceTable(
    const std::vector<ContainerEvidence>& containers,
    const std::map<std::string, contract::Inventory>& inventory_of_node);

}  // namespace tessera::sim
