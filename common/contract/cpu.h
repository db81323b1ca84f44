#pragma once

#include <cstdint>
#include <optional>

#include <rapidjson/document.h>

/// CPU as Kubernetes counts it, in thousandths of a core, 0 to binpack::kMaxCpuMilli. For scores:
/// an amount that cannot be read counts as none, and nothing here ever refuses a pod or a node.
namespace tessera::contract {

/// What a pod takes of its node: the larger of (app containers + sidecars) and, for each init
/// container, (it + the sidecars started before it); or what spec.resources requests for the pod as
/// a whole. To either comes spec.overhead. A limit without a request is the request.
std::int64_t PodCpuMilli(const rapidjson::Value& pod);

/// status.allocatable of a node; nothing if it does not tell.
std::optional<std::int64_t> NodeCpuMilli(const rapidjson::Value& node);

}  // namespace tessera::contract
