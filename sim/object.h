#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "common/json/json.h"

namespace tessera::sim {

/// The string at a path of a Kubernetes object; empty if there is none.
inline std::string TextAt(const rapidjson::Value& object,
                          std::initializer_list<std::string_view> path) {
  const rapidjson::Value* found = json::FindPath(object, path);
  return found != nullptr && found->IsString() ? std::string(json::View(*found)) : std::string();
}

/// "namespace/name".
inline std::string KeyOf(const rapidjson::Value& object) {
  return TextAt(object, {"metadata", "namespace"}) + "/" + TextAt(object, {"metadata", "name"});
}

/// "/api/v1/namespaces/NAMESPACE/pods/NAME".
inline std::string PodPath(const rapidjson::Value& pod) {
  return "/api/v1/namespaces/" + TextAt(pod, {"metadata", "namespace"}) + "/pods/" +
         TextAt(pod, {"metadata", "name"});
}

}  // namespace tessera::sim
