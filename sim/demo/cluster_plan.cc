#include "sim/demo/cluster_plan.h"

#include <cstdio>

namespace tessera::sim {

std::vector<SimulatedNode> DemoNodes() {
  return {{"node-a10", "NVIDIA A10", 2, 23028, 72},
          {"node-h100", "NVIDIA H100 80GB HBM3", 4, 81559, 132},
          {"node-t4", "Tesla T4", 1, 15360, 40}};
}

std::string GpuUuid(std::size_t node_index, int gpu_index) {
  char text[48];
  std::snprintf(text, sizeof text, "GPU-%08zx-0000-4000-8000-%012d", node_index + 1, gpu_index);
  return text;
}

std::string GpusFile(const SimulatedNode& node, std::size_t node_index) {
  std::string text = "driver version=580.95.05 cuda=13000\n";
  for (int i = 0; i < node.gpus; ++i) {
    text += "gpu uuid=" + GpuUuid(node_index, i) + " model=\"" + node.model +
            "\" memory_mib=" + std::to_string(node.memory_mib) +
            " sms=" + std::to_string(node.multiprocessors) +
            " numa=" + std::to_string(i * 2 / node.gpus) + " healthy=1\n";
  }
  return text;
}

}  // namespace tessera::sim
