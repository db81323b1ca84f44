#pragma once

#include <map>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "common/base/result.h"

/// What a kubelet makes of a container's `env`. Pure.
namespace tessera::sim {

/// Name -> value. A name that stands twice in a pod has the value of its last entry, as with a
/// kubelet.
using Environment = std::map<std::string, std::string>;

/// The value of a fieldRef: metadata.{name,namespace,uid}, metadata.{annotations,labels}['key'],
/// spec.nodeName, spec.serviceAccountName, status.podIP, status.hostIP. A missing annotation or
/// label is the empty string. Errors: kInvalidArgument for every other path.
Result<std::string> ResolveField(const rapidjson::Value& pod, std::string_view field_path);

/// Replaces $(NAME) by its value; an unknown name stays as it is written, $$ becomes $.
std::string ExpandVariables(std::string_view text, const Environment& known);

/// The environment of one container: literal values (which may speak of variables above them) and
/// fieldRefs. Errors name the variable; other sources (config maps, secrets, resources) are
/// refused, except when they are optional.
Result<Environment> ResolveEnvironment(const rapidjson::Value& pod,
                                       const rapidjson::Value& container);

}  // namespace tessera::sim
