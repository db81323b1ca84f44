#pragma once

#include <rapidjson/document.h>

#include "common/base/result.h"
#include "webhook/pod_view.h"

namespace tessera::webhook {

/// The view of a pod object. Errors (kInvalidArgument) name the field:
/// "spec.containers[0].env[2].name must be a string".
Result<PodView> DecodePodView(const rapidjson::Value& pod);

}  // namespace tessera::webhook
