#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace tessera::sim::gpu {

enum class Health { kHealthy, kSick, kLost };

/// One simulated GPU, as its `gpu` line says. `index` is the position among the `gpu` lines.
struct GpuConfig {
  int index = 0;
  std::string uuid;  ///< "GPU-" and 8-4-4-4-12 lower-case hexadecimal digits
  std::string model = "Tessera Simulated GPU";
  std::uint64_t memory_mib = 0;
  std::uint64_t context_mib = 0;     ///< what each context of each process costs
  std::uint64_t green_mib = 0;       ///< what a green context costs beside its primary context
  std::uint64_t green_left_mib = 0;  ///< what of it stays with that when the green one has gone
  bool green_reuse = false;          ///< the next green one takes it from there
  int sms = 108;
  int numa = 0;  ///< -1: no NUMA node
  int cc_major = 9;
  int cc_minor = 0;
  bool faults = true;  ///< false: cannot fetch managed memory page by page while kernels run
  int xid = 0;         ///< what NVML's event says when the GPU turns sick; 0: 48 (sick), 79 (lost)
  double loss = 0.0;   ///< share of the time that is lost while two or more processes run
  Health health = Health::kHealthy;

  std::uint64_t memory_bytes() const { return memory_mib << 20; }
  /// The 16 bytes that CUDA calls the uuid.
  std::array<std::uint8_t, 16> uuid_bytes() const;
  /// "00000000:01:00.0": bus = index + 1.
  std::string pci_bus_id() const;
};

struct MachineConfig {
  std::string driver_version = "580.95.05";
  int cuda_version = 13000;
  std::vector<GpuConfig> gpus;
};

/// Reads the text of a TESSERA_SIM_GPUS file (format: sim/cuda/README.md). Errors name line and
/// key.
Result<MachineConfig> ParseMachine(std::string_view text);

/// What is simulated where nothing is configured: one GPU of 24 GiB.
MachineConfig DefaultMachine();

}  // namespace tessera::sim::gpu
