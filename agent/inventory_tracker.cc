#include "agent/inventory_tracker.h"

#include <algorithm>
#include <utility>

namespace tessera::agent {
namespace {

using binpack::GpuDevice;

constexpr std::uint64_t kBytesPerMib = std::uint64_t{1} << 20;

GpuDevice* FindUuid(std::vector<GpuDevice>& gpus, const std::string& uuid) {
  const auto found =
      std::find_if(gpus.begin(), gpus.end(), [&](const auto& gpu) { return gpu.uuid == uuid; });
  return found == gpus.end() ? nullptr : &*found;
}

void MarkSick(GpuDevice& gpu, const std::string& reason) {
  gpu.healthy = false;
  gpu.health_reason = reason;
}

/// Why a GPU that answers cannot be offered; empty if it can.
std::string TroubleOf(const GpuReading& reading) {
  if (!reading.trouble.empty()) return reading.trouble;
  return reading.memory_total_bytes < kBytesPerMib ? "NVML reports no memory" : "";
}

/// What is unknown now stays as it was known.
void Merge(const GpuReading& reading, GpuDevice& gpu) {
  gpu.uuid = reading.uuid;
  gpu.index = reading.index;
  if (!reading.model.empty()) gpu.model = reading.model;
  if (reading.memory_total_bytes >= kBytesPerMib) {
    gpu.memory_mib = static_cast<std::int64_t>(reading.memory_total_bytes / kBytesPerMib);
  }
  if (reading.numa_node >= 0) gpu.numa_node = reading.numa_node;
  gpu.health_reason = TroubleOf(reading);
  gpu.healthy = gpu.health_reason.empty();
}

}  // namespace

void InventoryTracker::NoteFaults(const NvmlReading& reading, Time now) {
  std::erase_if(faults_, [&](const auto& fault) { return fault.second.until <= now; });
  for (const GpuReading& gpu : reading.gpus) {
    if (gpu.xid != 0 && !gpu.uuid.empty()) faults_[gpu.uuid] = {gpu.xid, now + xid_hold_};
  }
}

bool InventoryTracker::HoldEnds(Time now) const {
  return std::any_of(faults_.begin(), faults_.end(),
                     [&](const auto& fault) { return fault.second.until <= now; });
}

contract::Inventory InventoryTracker::Update(const NvmlReading& reading, Time now) {
  NoteFaults(reading, now);
  std::vector<GpuDevice> before = std::exchange(known_.gpus, {});
  std::vector<std::pair<int, std::string>> nameless;  // index -> reason
  known_.driver_version = reading.driver_version;
  for (const GpuReading& one : reading.gpus) {
    if (one.uuid.empty()) {
      nameless.emplace_back(one.index, one.trouble);
      continue;
    }
    if (FindUuid(known_.gpus, one.uuid) != nullptr) continue;
    const GpuDevice* old = FindUuid(before, one.uuid);
    GpuDevice gpu = old == nullptr ? GpuDevice{} : *old;
    Merge(one, gpu);
    if (const auto fault = faults_.find(gpu.uuid); gpu.healthy && fault != faults_.end()) {
      MarkSick(gpu, "Xid " + std::to_string(fault->second.xid));
    }
    // Never seen well: its size is unknown, so there is nothing to tell of it yet.
    if (gpu.memory_mib > 0) known_.gpus.push_back(std::move(gpu));
  }
  for (GpuDevice& gone : before) {
    if (FindUuid(known_.gpus, gone.uuid) != nullptr) continue;
    std::string reason = "the driver does not list this GPU any more";
    for (const auto& [index, trouble] : nameless) {
      if (index == gone.index) reason = trouble;
    }
    MarkSick(gone, reason);
    known_.gpus.push_back(std::move(gone));
  }
  std::stable_sort(known_.gpus.begin(), known_.gpus.end(),
                   [](const auto& a, const auto& b) { return a.index < b.index; });
  return known_;
}

contract::Inventory InventoryTracker::UpdateUnavailable(const std::string& reason) {
  for (GpuDevice& gpu : known_.gpus) MarkSick(gpu, reason);
  return known_;
}

}  // namespace tessera::agent
