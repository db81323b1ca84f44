#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tessera::sim {

/// One kind of object that the simulated API server serves.
struct Resource {
  std::string_view group;  ///< "" for the core group
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = false;
  /// True: a write to the object leaves status alone, and /status writes nothing else.
  bool status = false;

  /// "v1" or "coordination.k8s.io/v1".
  std::string ApiVersion() const;
};

/// Null for what is not served.
const Resource* FindResource(std::string_view group, std::string_view version,
                             std::string_view plural);

/// What a request's path speaks of.
struct Target {
  const Resource* resource = nullptr;
  std::string ns = {};           ///< empty: all namespaces, or a cluster-wide resource
  std::string name = {};         ///< empty: the collection
  std::string subresource = {};  ///< "status", "binding", …
};

/// Reads "/api/v1/namespaces/a/pods/b/binding" and "/apis/GROUP/VERSION/…". None for paths that
/// mean nothing.
std::optional<Target> ParseTarget(std::string_view path);

}  // namespace tessera::sim
