#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tessera::sim::cuda {

/// A kernel of a PTX text.
struct PtxEntry {
  struct Parameter {
    std::size_t offset = 0;
    std::size_t bytes = 0;
  };
  std::string name;
  std::vector<Parameter> parameters;
};

/// A module-scope variable of a PTX text (.global or .const).
struct PtxGlobal {
  std::string name;
  std::size_t bytes = 0;
};

struct PtxImage {
  std::vector<PtxEntry> entries;
  std::vector<PtxGlobal> globals;
};

/// Reads the outline of a PTX text: entries with their parameters, and module-scope variables.
/// Instructions are not read. Errors say what is wrong with the text.
Result<PtxImage> ParsePtx(std::string_view text);

}  // namespace tessera::sim::cuda
