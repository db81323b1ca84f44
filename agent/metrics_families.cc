#include "agent/metrics_families.h"

#include <prometheus/client_metric.h>

namespace tessera::agent {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

Families::Families() {
  DeclareGpuFamilies();
  DeclareContainerFamilies();
  DeclareAgentFamilies();
  DeclareMpsFamilies();
}

void Families::Add(const std::string& name, const Labels& labels, double value) {
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

std::vector<MetricFamily> Families::Take() {
  std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
  return std::move(families_);
}

void Families::Declare(const std::string& name, MetricType type, const std::string& help) {
  index_[name] = families_.size();
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  families_.push_back(std::move(family));
  seen_.emplace_back();
}

void Families::Gauge(const std::string& name, const std::string& help) {
  Declare(name, MetricType::Gauge, help);
}

void Families::Counter(const std::string& name, const std::string& help) {
  Declare(name, MetricType::Counter, help);
}

void Families::DeclareGpuFamilies() {
  Gauge("tessera_gpu_info", "1; which model and index a GPU has.");
  Gauge("tessera_gpu_healthy", "1 if the GPU can be shared now, 0 if not.");
  Gauge("tessera_gpu_memory_capacity_bytes", "Memory of the GPU.");
  Gauge("tessera_gpu_memory_used_bytes", "Memory in use on the GPU as NVML tells it, by anybody.");
  Gauge("tessera_gpu_memory_allocated_bytes", "Memory that pods on this node were given.");
  Gauge("tessera_gpu_cores_capacity_ratio", "Compute of the GPU; 1 is one whole GPU.");
  Gauge("tessera_gpu_cores_allocated_ratio", "Compute that pods on this node were given.");
  Gauge("tessera_gpu_shared_pods", "Pods that were given a part of the GPU.");
  Gauge("tessera_gpu_arbitrated",
        "1 while containers contend for the GPU and take turns; 0 while at most one uses it.");
  Counter("tessera_gpu_windows_total",
          "Windows of the GPU's time that were handed out, prolonged ones included.");
  Counter(
      "tessera_gpu_window_overruns_total",
      "Windows of one container after which its work ran on for so long that the next one's opened "
      "beside it.");
  Gauge(
      "tessera_gpu_busy_ratio",
      "Part of the last second in which the GPU was at work, for whomever, as NVML tells it; only "
      "of GPUs with two containers that share them, or one with a share below 100 percent.");
}

void Families::DeclareContainerFamilies() {
  Gauge("tessera_container_gpu_memory_limit_bytes",
        "Memory that the container may use of the GPU.");
  Gauge(
      "tessera_container_gpu_memory_used_bytes",
      "Memory that the container uses as the interceptor accounts it; 0 without the interceptor.");
  Gauge("tessera_container_gpu_host_memory_limit_bytes",
        "Host memory that the container may use in place of the GPU's beyond its limit there; only "
        "where there is some.");
  Gauge("tessera_container_gpu_host_memory_used_bytes",
        "What of that the container has allocated, wherever its pages are at the moment.");
  Gauge(
      "tessera_container_gpu_context_bytes",
      "What each CUDA context of the container takes, part of what it uses; 0 until one was made.");
  Gauge("tessera_container_gpu_core_limit_ratio", "Compute that the container was given.");
  Counter("tessera_container_gpu_memory_denied_total",
          "Allocations that were refused because of the limit.");
  Counter("tessera_container_launches_total",
          "Launches of kernels, cooperative ones too, and of graphs, each graph once.");
  Counter(
      "tessera_container_gpu_time_seconds_total",
      "Time that the GPU was at work for this container, measured while it keeps a share below 100 "
      "percent by itself; else it stands still.");
  Counter("tessera_container_gpu_throttled_seconds_total",
          "Time that launches waited for the container's share of GPU time.");
  Counter("tessera_container_gpu_arbitrated_seconds_total",
          "GPU time that the arbiter charged the container while containers contended.");
  Counter("tessera_container_gpu_window_wait_seconds_total",
          "Time in which launches of the container waited while others had their windows.");
  Gauge(
      "tessera_interceptor_attached",
      "1 if the interceptor accounts in this running container; 0 if nothing in it has called CUDA "
      "through it yet, or its region is unreadable.");
}

void Families::DeclareAgentFamilies() {
  Gauge("tessera_agent_nvml_up", "1 if NVML answers.");
  Gauge("tessera_agent_regions_unreadable",
        "Containers whose region file is there but not readable.");
  Gauge("tessera_agent_assignments_unreadable",
        "Pods whose assignment annotation is there but not readable.");
}

void Families::DeclareMpsFamilies() {
  Gauge("tessera_mps_available", "1 if NVIDIA's control program of MPS is there.");
  Gauge("tessera_mps_server_up",
        "1 if the MPS daemon of a GPU with MPS pods answers and has no fault; 0 if not.");
  Gauge("tessera_mps_fault", "1 while a server of the GPU's MPS daemon is in state FAULT.");
  Gauge("tessera_mps_clients", "Processes that are clients of the GPU's MPS daemon.");
  Counter("tessera_mps_restarts_total",
          "Starts of the GPU's MPS daemon after one that died or had a fault.");
}

}  // namespace tessera::agent
