#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "binpack/types.h"

namespace tessera::binpack {

/// An amount in both dimensions of one GPU.
struct Amount {
  std::int64_t memory_mib = 0;
  std::int64_t cores_percent = 0;

  Amount& operator+=(const Amount& other) {
    memory_mib += other.memory_mib;
    cores_percent += other.cores_percent;
    return *this;
  }
  Amount& operator-=(const Amount& other) {
    memory_mib -= other.memory_mib;
    cores_percent -= other.cores_percent;
    return *this;
  }
  friend Amount operator+(Amount a, const Amount& b) { return a += b; }
  friend Amount operator-(Amount a, const Amount& b) { return a -= b; }
  bool operator==(const Amount&) const = default;
};

/// True if `part` is at most `whole` in both dimensions.
inline bool Within(const Amount& part, const Amount& whole) {
  return part.memory_mib <= whole.memory_mib && part.cores_percent <= whole.cores_percent;
}
/// The larger of the two in each dimension.
Amount Max(const Amount& a, const Amount& b);

/// A GPU with what is reserved on it.
struct DeviceInfo {
  GpuDevice device;
  Amount used;  ///< by tenants; more than the capacity only after somebody else over-committed it
  int tenants = 0;            ///< pods
  int exclusive_tenants = 0;  ///< of them, those that share with nobody

  Amount capacity() const { return {device.memory_mib, device.cores_percent}; }
  /// Negative where over-committed.
  Amount free() const { return capacity() - used; }
  bool operator==(const DeviceInfo&) const = default;
};

/// A node with what is reserved on it.
struct NodeInfo {
  std::string name{};
  std::vector<DeviceInfo> devices{};
  /// CPU for pods, in thousandths of a core; nothing: unknown. For scores, never for what fits.
  std::optional<std::int64_t> cpu_milli{};
  std::int64_t cpu_used_milli = 0;  ///< by all pods that are known of, with and without GPUs

  bool operator==(const NodeInfo&) const = default;
};

/// An empty node with these GPUs.
NodeInfo MakeNode(std::string name, const std::vector<GpuDevice>& gpus);

/// The GPU, or null.
DeviceInfo* FindDevice(NodeInfo& node, std::string_view uuid);
const DeviceInfo* FindDevice(const NodeInfo& node, std::string_view uuid);

/// What `request` takes of a GPU with this capacity: a percentage of memory is rounded down to
/// whole MiB, but is at least one.
Amount Resolve(const GpuRequest& request, const Amount& capacity);

}  // namespace tessera::binpack
