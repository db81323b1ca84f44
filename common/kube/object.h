#pragma once

#include <string>
#include <string_view>

#include <rapidjson/document.h>

/// What every Kubernetes object has. A missing or mistyped field reads as empty.
namespace tessera::kube {

std::string_view Name(const rapidjson::Value& object);
std::string_view Namespace(const rapidjson::Value& object);
std::string_view Uid(const rapidjson::Value& object);
std::string_view ResourceVersion(const rapidjson::Value& object);
/// "namespace/name", or "name" for an object without a namespace.
std::string Key(const rapidjson::Value& object);

}  // namespace tessera::kube
