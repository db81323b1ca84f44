#include "agent/metrics.h"

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include <prometheus/client_metric.h>
#include <prometheus/text_serializer.h>

#include "binpack/reservation.h"

namespace tessera::agent {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

constexpr double kBytesPerMib = 1024.0 * 1024.0;

/// Families in the order in which they are declared; equal labels are added once, the first value
/// stays.
class Families {
 public:
  void Declare(const std::string& name, MetricType type, const std::string& help) {
    index_[name] = families_.size();
    MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
    seen_.emplace_back();
  }

  /// REQUIRES: `name` is declared.
  void Add(const std::string& name, const Labels& labels, double value) {
    const std::size_t at = index_.at(name);
    if (!seen_[at].insert(labels).second) return;
    ClientMetric metric;
    for (const auto& [label, text] : labels) metric.label.push_back({label, text});
    if (families_[at].type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_[at].metric.push_back(std::move(metric));
  }

  /// Those that have a series.
  std::vector<MetricFamily> Take() {
    std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
    return std::move(families_);
  }

 private:
  std::map<std::string, std::size_t> index_;
  std::vector<MetricFamily> families_;
  std::vector<std::set<Labels>> seen_;
};

void DeclareGpuFamilies(Families& families) {
  const auto gauge = [&](const char* name, const char* help) {
    families.Declare(name, MetricType::Gauge, help);
  };
  gauge("tessera_gpu_info", "1; which model and index a GPU has.");
  gauge("tessera_gpu_healthy", "1 if the GPU can be shared now, 0 if not.");
  gauge("tessera_gpu_memory_capacity_bytes", "Memory of the GPU.");
  gauge("tessera_gpu_memory_used_bytes", "Memory in use on the GPU as NVML tells it, by anybody.");
  gauge("tessera_gpu_memory_allocated_bytes", "Memory that pods on this node were given.");
  gauge("tessera_gpu_cores_capacity_ratio", "Compute of the GPU; 1 is one whole GPU.");
  gauge("tessera_gpu_cores_allocated_ratio", "Compute that pods on this node were given.");
  gauge("tessera_gpu_shared_pods", "Pods that were given a part of the GPU.");
  gauge("tessera_gpu_arbitrated",
        "1 while containers contend for the GPU and take turns; 0 while at most one uses it.");
  families.Declare("tessera_gpu_windows_total", MetricType::Counter,
                   "Windows of the GPU's time that were handed out, prolonged ones included.");
  families.Declare(
      "tessera_gpu_window_overruns_total", MetricType::Counter,
      "Windows of one container after which its work ran on for so long that the next one's opened "
      "beside it.");
}

void DeclareContainerFamilies(Families& families) {
  const auto gauge = [&](const char* name, const char* help) {
    families.Declare(name, MetricType::Gauge, help);
  };
  const auto counter = [&](const char* name, const char* help) {
    families.Declare(name, MetricType::Counter, help);
  };
  gauge("tessera_container_gpu_memory_limit_bytes",
        "Memory that the container may use of the GPU.");
  gauge(
      "tessera_container_gpu_memory_used_bytes",
      "Memory that the container uses as the interceptor accounts it; 0 without the interceptor.");
  gauge("tessera_container_gpu_host_memory_limit_bytes",
        "Host memory that the container may use in place of the GPU's beyond its limit there; only "
        "where there is some.");
  gauge("tessera_container_gpu_host_memory_used_bytes",
        "What of that the container has allocated, wherever its pages are at the moment.");
  gauge(
      "tessera_container_gpu_context_bytes",
      "What each CUDA context of the container takes, part of what it uses; 0 until one was made.");
  gauge("tessera_container_gpu_core_limit_ratio", "Compute that the container was given.");
  counter("tessera_container_gpu_memory_denied_total",
          "Allocations that were refused because of the limit.");
  counter("tessera_container_launches_total",
          "Launches of kernels, cooperative ones too, and of graphs, each graph once.");
  counter(
      "tessera_container_gpu_time_seconds_total",
      "Time that the GPU was at work for this container, measured while it keeps a share below 100 "
      "percent by itself; else it stands still.");
  counter("tessera_container_gpu_throttled_seconds_total",
          "Time that launches waited for the container's share of GPU time.");
  counter("tessera_container_gpu_arbitrated_seconds_total",
          "GPU time that the arbiter charged the container while containers contended.");
  counter("tessera_container_gpu_window_wait_seconds_total",
          "Time in which launches of the container waited while others had their windows.");
  gauge(
      "tessera_interceptor_attached",
      "1 if the interceptor accounts in this running container; 0 if nothing in it has called CUDA "
      "through it yet, or its region is unreadable.");
}

void DeclareAgentFamilies(Families& families) {
  families.Declare("tessera_agent_nvml_up", MetricType::Gauge, "1 if NVML answers.");
  families.Declare("tessera_agent_regions_unreadable", MetricType::Gauge,
                   "Containers whose region file is there but not readable.");
  families.Declare("tessera_agent_assignments_unreadable", MetricType::Gauge,
                   "Pods whose assignment annotation is there but not readable.");
}

void DeclareMpsFamilies(Families& families) {
  const auto gauge = [&](const char* name, const char* help) {
    families.Declare(name, MetricType::Gauge, help);
  };
  gauge("tessera_mps_available", "1 if NVIDIA's control program of MPS is there.");
  gauge("tessera_mps_server_up",
        "1 if the MPS daemon of a GPU with MPS pods answers and has no fault; 0 if not.");
  gauge("tessera_mps_fault", "1 while a server of the GPU's MPS daemon is in state FAULT.");
  gauge("tessera_mps_clients", "Processes that are clients of the GPU's MPS daemon.");
  families.Declare("tessera_mps_restarts_total", MetricType::Counter,
                   "Starts of the GPU's MPS daemon after one that died or had a fault.");
}

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
  DeclareGpuFamilies(families);
  DeclareContainerFamilies(families);
  DeclareAgentFamilies(families);
  DeclareMpsFamilies(families);
  AddGpus(state, families);
  AddWindows(state, families);
  AddContainers(state, families);
  AddAgent(state, families);
  AddMps(state, families);
  return families.Take();
}

std::string RenderFamilies(const NodeState& state) {
  return prometheus::TextSerializer().Serialize(BuildFamilies(state));
}

}  // namespace tessera::agent
