#pragma once

#include <rapidjson/document.h>

#include "sim/kube/object_rules.h"
#include "sim/kube/reply.h"

namespace tessera::sim {

/// What POST pods/NAME/binding does to the pod, in one write: preconditions, nodeName, annotations,
/// labels and the PodScheduled condition. A refusal (409, 422, 400) leaves the pod alone.
Reply<void> ApplyBinding(rapidjson::Document& pod, const rapidjson::Value& binding, WallTime now);

}  // namespace tessera::sim
