#pragma once

#include <optional>
#include <string>

#include "sim/gpu/config.h"

namespace tessera::sim::gpu {

inline constexpr const char* kEnvGpus = "TESSERA_SIM_GPUS";
inline constexpr const char* kEnvState = "TESSERA_SIM_STATE";
inline constexpr const char* kEnvVisible = "TESSERA_SIM_VISIBLE";
inline constexpr const char* kEnvJournal = "TESSERA_SIM_JOURNAL";
inline constexpr const char* kEnvNoop = "TESSERA_SIM_NOOP";
inline constexpr const char* kEnvCudaVisible = "CUDA_VISIBLE_DEVICES";

/// Null where the variable is not set; an empty string is a value.
std::optional<std::string> Environment(const char* name);

/// The machine that the environment describes. Errors start with the variable's name and file.
Result<MachineConfig> LoadMachine();

/// Where the state between processes lives; made if it is missing.
Result<std::string> StateFolder();

/// One line "tessera-sim: <message>" on stderr, by one write.
void Complain(const std::string& message);

}  // namespace tessera::sim::gpu
