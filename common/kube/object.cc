#include "common/kube/object.h"

#include "common/json/json.h"

namespace tessera::kube {
namespace {

std::string_view Metadata(const rapidjson::Value& object, std::string_view field) {
  const rapidjson::Value* value = json::FindPath(object, {"metadata", field});
  return value != nullptr && value->IsString() ? json::View(*value) : std::string_view();
}

}  // namespace

std::string_view Name(const rapidjson::Value& object) { return Metadata(object, "name"); }
std::string_view Namespace(const rapidjson::Value& object) { return Metadata(object, "namespace"); }
std::string_view Uid(const rapidjson::Value& object) { return Metadata(object, "uid"); }
std::string_view ResourceVersion(const rapidjson::Value& object) {
  return Metadata(object, "resourceVersion");
}

std::string Key(const rapidjson::Value& object) {
  const std::string_view ns = Namespace(object);
  return ns.empty() ? std::string(Name(object)) : std::string(ns) + "/" + std::string(Name(object));
}

}  // namespace tessera::kube
