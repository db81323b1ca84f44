#include "sim/kube/resource.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace tessera::sim {
namespace {

constexpr bool kNamespaced = true;
constexpr bool kClusterWide = false;
constexpr bool kWithStatus = true;

constexpr std::array kResources = {
    Resource{"", "v1", "pods", "Pod", kNamespaced, kWithStatus},
    Resource{"", "v1", "nodes", "Node", kClusterWide, kWithStatus},
    Resource{"", "v1", "namespaces", "Namespace", kClusterWide, kWithStatus},
    Resource{"", "v1", "events", "Event", kNamespaced},
    Resource{"", "v1", "configmaps", "ConfigMap", kNamespaced},
    Resource{"", "v1", "secrets", "Secret", kNamespaced},
    Resource{"", "v1", "services", "Service", kNamespaced, kWithStatus},
    Resource{"", "v1", "serviceaccounts", "ServiceAccount", kNamespaced},
    Resource{"", "v1", "resourcequotas", "ResourceQuota", kNamespaced, kWithStatus},
    Resource{"apps", "v1", "deployments", "Deployment", kNamespaced, kWithStatus},
    Resource{"apps", "v1", "daemonsets", "DaemonSet", kNamespaced, kWithStatus},
    Resource{"events.k8s.io", "v1", "events", "Event", kNamespaced},
    Resource{"coordination.k8s.io", "v1", "leases", "Lease", kNamespaced},
    Resource{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", kNamespaced,
             kWithStatus},
    Resource{"node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", kClusterWide},
    Resource{"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", kClusterWide},
    Resource{"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations",
             "MutatingWebhookConfiguration", kClusterWide},
    Resource{"admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations",
             "ValidatingWebhookConfiguration", kClusterWide},
};

/// The parts between slashes; none if one is empty.
std::optional<std::vector<std::string>> Split(std::string_view path) {
  std::vector<std::string> parts;
  if (path.empty() || path.front() != '/') return std::nullopt;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto end = std::min(path.find('/'), path.size());
    if (end == 0) return std::nullopt;
    parts.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

}  // namespace

std::string Resource::ApiVersion() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

const Resource* FindResource(std::string_view group, std::string_view version,
                             std::string_view plural) {
  const auto found = std::find_if(kResources.begin(), kResources.end(), [&](const Resource& each) {
    return each.group == group && each.version == version && each.plural == plural;
  });
  return found == kResources.end() ? nullptr : &*found;
}

std::optional<Target> ParseTarget(std::string_view path) {
  const auto parts = Split(path);
  if (!parts) return std::nullopt;
  const bool core = parts->front() == "api";
  const std::size_t prefix = core ? 2 : 3;
  if ((!core && parts->front() != "apis") || parts->size() <= prefix) return std::nullopt;
  const std::string_view group = core ? std::string_view() : std::string_view((*parts)[1]);
  const std::string_view version = (*parts)[prefix - 1];
  std::span<const std::string> rest(parts->begin() + static_cast<std::ptrdiff_t>(prefix),
                                    parts->end());
  Target target;
  // "namespaces/a/pods" is within a namespace; "namespaces/a" and "namespaces/a/status" are the
  // namespace.
  if (rest.size() >= 3 && rest[0] == "namespaces" &&
      FindResource(group, version, rest[2]) != nullptr) {
    target.ns = rest[1];
    rest = rest.subspan(2);
  }
  target.resource = FindResource(group, version, rest[0]);
  if (target.resource == nullptr || rest.size() > 3) return std::nullopt;
  if (!target.ns.empty() && !target.resource->namespaced) return std::nullopt;
  if (rest.size() > 1) target.name = rest[1];
  if (rest.size() > 2) target.subresource = rest[2];
  if (target.resource->namespaced && target.ns.empty() && !target.name.empty()) return std::nullopt;
  return target;
}

}  // namespace tessera::sim
