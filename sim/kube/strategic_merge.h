#pragma once

#include <rapidjson/document.h>

namespace tessera::sim {

/// Strategic merge patch, a subset: objects merge, null deletes, lists of objects merge by key
/// where Kubernetes has one (containers, env, volumes, conditions, …) with "$patch": "delete";
/// other lists are replaced. No other directives.
void ApplyStrategicMerge(rapidjson::Value& object, const rapidjson::Value& patch,
                         rapidjson::Document::AllocatorType& allocator);

}  // namespace tessera::sim
