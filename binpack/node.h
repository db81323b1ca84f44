#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "binpack/types.h"

namespace tessera::binpack {

/// An amount in both dimensions of one GPU, and of its MPS clients.
struct Amount {
  std::int64_t memory_mib = 0;
  std::int64_t cores_percent = 0;
  std::int64_t mps_clients = 0;  ///< 0 but for Isolation::kMps; no dimension of any score

  Amount& operator+=(const Amount& other) {
    memory_mib += other.memory_mib;
    cores_percent += other.cores_percent;
    mps_clients += other.mps_clients;
    return *this;
  }
  Amount& operator-=(const Amount& other) {
    memory_mib -= other.memory_mib;
    cores_percent -= other.cores_percent;
    mps_clients -= other.mps_clients;
    return *this;
  }
  friend Amount operator+(Amount a, const Amount& b) { return a += b; }
  friend Amount operator-(Amount a, const Amount& b) { return a -= b; }
  bool operator==(const Amount&) const = default;
};

/// True if `part` is at most `whole` in everything.
inline bool Within(const Amount& part, const Amount& whole) {
  return part.memory_mib <= whole.memory_mib && part.cores_percent <= whole.cores_percent &&
         part.mps_clients <= whole.mps_clients;
}
/// The larger of the two in everything.
Amount Max(const Amount& a, const Amount& b);

/// A GPU with what is reserved on it.
struct DeviceInfo {
  GpuDevice device;
  Amount used;  ///< by tenants; more than the capacity only after somebody else over-committed it
  int tenants = 0;            ///< pods
  int exclusive_tenants = 0;  ///< of them, those that share with nobody
  int mps_tenants = 0;        ///< of them, those that are clients of MPS

  Amount capacity() const { return {device.memory_mib, device.cores_percent, kMaxMpsClients}; }
  /// Negative where over-committed.
  Amount free() const { return capacity() - used; }
  bool operator==(const DeviceInfo&) const = default;
};

/// True if a pod of this isolation may join those that are on the GPU: all tenants of a GPU are of
/// one isolation, and an exclusive one is alone.
bool AdmitsMode(const DeviceInfo& info, Isolation isolation);

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
Amount Resolve(const GpuRequest& request, const Amount& capacity,
               Isolation isolation = Isolation::kShared);

}  // namespace tessera::binpack
