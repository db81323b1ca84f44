#include "agent/metrics.h"

#include <cstdint>
#include <map>
#include <utility>

#include <prometheus/text_serializer.h>

#include "agent/metrics_families.h"
#include "binpack/reservation.h"

namespace tessera::agent {
namespace {

using prometheus::MetricFamily;

constexpr double kBytesPerMib = 1024.0 * 1024.0;

struct Allocation {
  binpack::Amount amount;
  int pods = 0;
};

std::map<std::string, Allocation> AllocationsOf(const std::vector<Pod>& pods) {
  std::map<std::string, Allocation> allocations;
  for (const Pod& pod : pods) {
    if (!pod.assignment) continue;
    const auto reservation =
        binpack::ReservationOf(pod.assignment->placement, pod.assignment->isolation);
    for (const auto& device : reservation.devices) {
      Allocation& allocation = allocations[device.uuid];
      allocation.amount += device.amount;
      ++allocation.pods;
    }
  }
  return allocations;
}

void AddGpus(const NodeState& state, Families& families) {
  auto allocations = AllocationsOf(state.pods);
  for (const binpack::GpuDevice& gpu : state.inventory.gpus) {
    const Labels labels = {{"node", state.node}, {"gpu_uuid", gpu.uuid}};
    const Allocation& allocation = allocations[gpu.uuid];
    Labels info = labels;
    info.emplace_back("model", gpu.model);
    info.emplace_back("index", std::to_string(gpu.index));
    families.Add("tessera_gpu_info", info, 1);
    families.Add("tessera_gpu_healthy", labels, gpu.healthy ? 1 : 0);
    families.Add("tessera_gpu_memory_capacity_bytes", labels,
                 static_cast<double>(gpu.memory_mib) * kBytesPerMib);
    families.Add("tessera_gpu_memory_allocated_bytes", labels,
                 static_cast<double>(allocation.amount.memory_mib) * kBytesPerMib);
    families.Add("tessera_gpu_cores_capacity_ratio", labels,
                 static_cast<double>(gpu.cores_percent) / 100);
    families.Add("tessera_gpu_cores_allocated_ratio", labels,
                 static_cast<double>(allocation.amount.cores_percent) / 100);
    families.Add("tessera_gpu_shared_pods", labels, allocation.pods);
  }
  for (const GpuReading& gpu : state.reading.gpus) {
    if (gpu.uuid.empty() || !gpu.trouble.empty()) continue;
    families.Add("tessera_gpu_memory_used_bytes", {{"node", state.node}, {"gpu_uuid", gpu.uuid}},
                 static_cast<double>(gpu.memory_used_bytes));
  }
}

void AddWindows(const NodeState& state, Families& families) {
  for (const ArbiterReport::Gpu& gpu : state.arbitration.gpus) {
    const Labels labels = {{"node", state.node}, {"gpu_uuid", gpu.uuid}};
    families.Add("tessera_gpu_arbitrated", labels, gpu.windows ? 1 : 0);
    families.Add("tessera_gpu_windows_total", labels, static_cast<double>(gpu.windows_total));
    families.Add("tessera_gpu_window_overruns_total", labels,
                 static_cast<double>(gpu.overruns_total));
  }
}

void AddBusy(const NodeState& state, Families& families) {
  for (const auto& [uuid, ratio] : state.busy) {
    families.Add("tessera_gpu_busy_ratio", {{"node", state.node}, {"gpu_uuid", uuid}}, ratio);
  }
}

/// By GPU and region.
std::map<std::pair<std::string, std::string>, TenantTotals> TotalsOf(const ArbiterReport& report) {
  std::map<std::pair<std::string, std::string>, TenantTotals> totals;
  for (const ArbiterReport::Gpu& gpu : report.gpus) {
    for (const auto& one : gpu.containers) totals[{gpu.uuid, one.region_path}] = one.totals;
  }
  return totals;
}

void AddContainers(const NodeState& state, Families& families) {
  const auto totals = TotalsOf(state.arbitration);
  for (const ContainerUsage& usage : state.containers) {
    const Labels who = {
        {"namespace", usage.space}, {"pod", usage.pod}, {"container", usage.container}};
    for (const DeviceUsage& device : usage.devices) {
      Labels labels = {{"node", state.node}, {"gpu_uuid", device.uuid}};
      labels.insert(labels.end(), who.begin(), who.end());
      families.Add("tessera_container_gpu_memory_limit_bytes", labels,
                   static_cast<double>(device.limit_mib) * kBytesPerMib);
      families.Add("tessera_container_gpu_memory_used_bytes", labels,
                   static_cast<double>(device.used_bytes));
      if (device.host_limit_mib > 0 || device.host_used_bytes > 0) {
        families.Add("tessera_container_gpu_host_memory_limit_bytes", labels,
                     static_cast<double>(device.host_limit_mib) * kBytesPerMib);
        families.Add("tessera_container_gpu_host_memory_used_bytes", labels,
                     static_cast<double>(device.host_used_bytes));
      }
      families.Add("tessera_container_gpu_context_bytes", labels,
                   static_cast<double>(device.context_bytes));
      families.Add("tessera_container_gpu_core_limit_ratio", labels,
                   static_cast<double>(device.cores_percent) / 100);
      families.Add("tessera_container_gpu_memory_denied_total", labels,
                   static_cast<double>(device.denied));
      families.Add("tessera_container_launches_total", labels,
                   static_cast<double>(device.launches));
      families.Add("tessera_container_gpu_time_seconds_total", labels,
                   1e-9 * static_cast<double>(device.gpu_time_ns));
      families.Add("tessera_container_gpu_throttled_seconds_total", labels,
                   1e-9 * static_cast<double>(device.throttled_ns));
      const auto had = totals.find({device.uuid, usage.region_path});
      if (had == totals.end()) continue;
      families.Add("tessera_container_gpu_arbitrated_seconds_total", labels,
                   1e-9 * static_cast<double>(had->second.charged_ns));
      families.Add("tessera_container_gpu_window_wait_seconds_total", labels,
                   1e-9 * static_cast<double>(had->second.waited_ns));
    }
    if (!usage.running && !usage.attached) continue;
    Labels labels = {{"node", state.node}};
    labels.insert(labels.end(), who.begin(), who.end());
    families.Add("tessera_interceptor_attached", labels, usage.attached ? 1 : 0);
  }
}

void AddAgent(const NodeState& state, Families& families) {
  double regions = 0;
  double assignments = 0;
  for (const ContainerUsage& usage : state.containers) regions += usage.region_bad ? 1 : 0;
  for (const Pod& pod : state.pods) assignments += pod.assignment_error.empty() ? 0 : 1;
  const Labels labels = {{"node", state.node}};
  families.Add("tessera_agent_nvml_up", labels, state.nvml_up ? 1 : 0);
  families.Add("tessera_agent_regions_unreadable", labels, regions);
  families.Add("tessera_agent_assignments_unreadable", labels, assignments);
}

void AddMps(const NodeState& state, Families& families) {
  if (!state.mps) return;
  families.Add("tessera_mps_available", {{"node", state.node}}, state.mps->available ? 1 : 0);
  for (const auto& [uuid, gpu] : state.mps->gpus) {
    if (!gpu.wanted && !gpu.seen.answers) continue;
    const Labels labels = {{"node", state.node}, {"gpu_uuid", uuid}};
    families.Add("tessera_mps_server_up", labels, gpu.seen.answers && !gpu.seen.fault ? 1 : 0);
    families.Add("tessera_mps_fault", labels, gpu.seen.fault ? 1 : 0);
    families.Add("tessera_mps_clients", labels, gpu.seen.clients);
    families.Add("tessera_mps_restarts_total", labels, gpu.restarts);
  }
}

}  // namespace

std::vector<MetricFamily> BuildFamilies(const NodeState& state) {
  Families families;
  AddGpus(state, families);
  AddWindows(state, families);
  AddBusy(state, families);
  AddContainers(state, families);
  AddAgent(state, families);
  AddMps(state, families);
  return families.Take();
}

std::string RenderFamilies(const NodeState& state) {
  return prometheus::TextSerializer().Serialize(BuildFamilies(state));
}

}  // namespace tessera::agent
