#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tessera::sim {

/// The documents of a YAML text as JSON texts, typed as kubectl does it: an unquoted true, 12, 1.5
/// or null is a boolean, an integer, a number or null; everything quoted is a string. Empty
/// documents are left out. Errors name the line.
Result<std::vector<std::string>> YamlToJson(std::string_view yaml);

}  // namespace tessera::sim
