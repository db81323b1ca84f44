#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <rapidjson/document.h>

/// kube-scheduler's NodeResourcesFit, for extended resources (names with a '/'). Pure.
namespace tessera::sim {

/// Resource name -> amount.
using Resources = std::map<std::string, std::int64_t>;

/// What a pod takes of its node: the largest of what the app containers with all sidecars take
/// together and what each init container takes with the sidecars started before it. A limit without
/// a request is the request. Amounts that are not whole numbers count as 0: the API server refuses
/// them for extended resources.
Resources PodExtendedResources(const rapidjson::Value& pod);

/// status.allocatable of a node, else status.capacity; extended resources only.
Resources NodeExtendedResources(const rapidjson::Value& node);

/// "Insufficient NAME" for each resource of `wanted` that does not fit beside `used`, in the order
/// of names.
std::vector<std::string> InsufficientResources(const Resources& wanted, const Resources& used,
                                               const Resources& capacity);

}  // namespace tessera::sim
