#pragma once

#include <rapidjson/document.h>

#include "agent/node_plan.h"
#include "agent/pod.h"
#include "common/base/result.h"

/// Nodes and pods from JSON. Errors name the field.
namespace tessera::agent {

Result<NodeView> DecodeNode(const rapidjson::Value& node);

/// An assignment that cannot be read is not an error: it stands in Pod::assignment_error, because
/// the pod's name and containers are still worth knowing.
Result<Pod> DecodePod(const rapidjson::Value& pod);

}  // namespace tessera::agent
