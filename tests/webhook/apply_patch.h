#pragma once

#include <rapidjson/document.h>

#include "common/base/result.h"

namespace tessera::webhook {

/// RFC 6902's add, replace and remove, as strict as kube-apiserver: a missing parent or target is
/// an error. `document` is left half patched then.
Result<void> ApplyPatch(rapidjson::Document& document, const rapidjson::Value& operations);

}  // namespace tessera::webhook
