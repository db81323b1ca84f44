#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "sim/gpu/config.h"

namespace tessera::sim::gpu {

/// The devices of a container: what a container runtime makes of its list. Null: all; "", "void"
/// and "none": none; "all": all; else uuids and indexes, comma separated, kept in machine order.
/// Entries that name no device are ignored.
std::vector<GpuConfig> ContainerDevices(const std::vector<GpuConfig>& machine,
                                        std::optional<std::string_view> list);

struct CudaSelection {
  std::vector<GpuConfig> devices;
  bool named_twice = false;  ///< cuInit fails with CUDA_ERROR_INVALID_DEVICE
};

/// CUDA_VISIBLE_DEVICES on top, read as the driver reads it: indexes into `devices`, or uuids and
/// unique beginnings of uuids, in the order of the list. The first entry says which of the two; the
/// list ends at the first entry that is of the other kind or names no device. An index is read up
/// to its last digit. Null: all.
CudaSelection CudaDevices(const std::vector<GpuConfig>& devices,
                          std::optional<std::string_view> list);

}  // namespace tessera::sim::gpu
