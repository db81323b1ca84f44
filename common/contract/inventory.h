#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "binpack/types.h"
#include "common/base/result.h"

namespace tessera::contract {

/// What an agent tells of its node, in the node annotation `tessera.dev/inventory`.
struct Inventory {
  std::string driver_version;
  std::vector<binpack::GpuDevice> gpus;  ///< ordered by index

  bool operator==(const Inventory&) const = default;
};

/// Deterministic: equal inventories give equal text, so "write on change only" is a string
/// comparison.
/// {"version":1,"driver":"580.159.03","gpus":[{"uuid":…,"index":0,"model":…,"memoryMiB":…,
///  "cores":100,"numa":0,"healthy":true}]}; "reason" stands beside "healthy":false,
/// "mps":true where pods of isolation mps may go.
std::string EncodeInventory(const Inventory& inventory);

/// Errors (kInvalidArgument) name the field: "gpus[2].memoryMiB must be a positive integer".
/// Refuses other versions, doubled uuids, more than kMaxGpusPerNode GPUs.
Result<Inventory> DecodeInventory(std::string_view text);

}  // namespace tessera::contract
