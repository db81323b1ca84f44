#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "common/abi/cuda.h"

namespace tessera::sim::cuda {

struct JournalField {
  std::string_view name;
  std::uint64_t value;
};

/// Appends "<pid> <call> <name>=<value> ... result=<number>" to the file TESSERA_SIM_JOURNAL, by
/// one write; does nothing where the variable is unset. Returns `result`, so that calls end with
/// it.
CUresult Journal(std::string_view call, std::initializer_list<JournalField> fields,
                 CUresult result);

}  // namespace tessera::sim::cuda
