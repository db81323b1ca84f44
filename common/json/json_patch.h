#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <rapidjson/document.h>

#include "common/base/result.h"

/// Changing JSON by JSON. Pure and total.
namespace tessera::json {

/// The reference tokens of a JSON pointer (RFC 6901): "/a~1b/0" is {"a/b", "0"}. Errors:
/// kInvalidArgument.
Result<std::vector<std::string>> ParsePointer(std::string_view text);

/// Applies a JSON patch (RFC 6902: add, remove, replace, move, copy, test). All operations or none:
/// on an error `document` is as before. Errors name the operation: "patch[2] (add /a/b): …";
/// kInvalidArgument, or kConflict for a `test` that does not hold.
Result<void> ApplyPatch(rapidjson::Document& document, const rapidjson::Value& patch);

/// Applies a merge patch (RFC 7396): null deletes, objects merge, everything else replaces.
void ApplyMergePatch(rapidjson::Document& document, const rapidjson::Value& patch);

}  // namespace tessera::json
