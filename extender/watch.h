#pragma once

#include <functional>
#include <string_view>

#include "common/json/json.h"
#include "common/kube/collection.h"
#include "extender/cache.h"

/// From the API server's objects to the cache. Each call may be repeated; objects that are not for
/// us change nothing.
namespace tessera::extender {

/// What the watch selects: pods that the webhook has made runnable.
inline constexpr std::string_view kPodsPath =
    "/api/v1/pods?labelSelector=tessera.dev%2Fmanaged%3Dtrue";
inline constexpr std::string_view kNodesPath = "/api/v1/nodes";

/// Who else is told of pods, after the cache.
struct PodListener {
  std::function<void(const rapidjson::Value& pod)> on_pod{};  ///< added or changed
  std::function<void(std::string_view uid)> on_gone{};
};

/// Tells the cache of all pods, and what a new list finds missing. `cache` must outlive them.
kube::ReflectorHandlers PodHandlers(Cache& cache, PodListener listener = {});
kube::ReflectorHandlers NodeHandlers(Cache& cache);

/// Added or changed. A bound pod holds what its assignment says; one that has ended holds nothing,
/// and so does one that somebody else bound without an assignment, since its containers see no GPU.
void ApplyPod(Cache& cache, const rapidjson::Value& pod);
void ApplyNode(Cache& cache, const rapidjson::Value& node);

}  // namespace tessera::extender
