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

/// CUDA_VISIBLE_DEVICES on top: indexes into `devices`, uuids or unique uuid prefixes, in the order
/// of the list. The list ends at the first entry that names no device; a device named twice gives
/// no device at all. Null: all.
std::vector<GpuConfig> CudaDevices(const std::vector<GpuConfig>& devices,
                                   std::optional<std::string_view> list);

}  // namespace tessera::sim::gpu
