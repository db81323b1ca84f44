#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "common/abi/cuda.h"
#include "sim/cuda/objects.h"
#include "sim/gpu/state.h"

namespace tessera::sim::cuda {

/// Physical memory of cuMemCreate: charged while a handle or a mapping holds it. Backed by a memory
/// file, so that two mappings show the same bytes.
struct Physical {
  Device* device = nullptr;  ///< of a multicast object: null until a device was added
  std::size_t bytes = 0;
  int fd = -1;
  CUmemAllocationProp prop{};
  bool is_ours = true;        ///< charged to this process
  gpu::Hold* hold = nullptr;  ///< of another process's that we have open
  bool is_kept = false;  ///< somebody may hold it by a descriptor: charged until the process ends

  Physical() = default;
  Physical(const Physical&) = delete;
  Physical& operator=(const Physical&) = delete;
  ~Physical();
};

/// cuMemCreate's: null with `error` set where it cannot be had.
std::shared_ptr<Physical> MakePhysical(const CUmemAllocationProp& prop, std::size_t bytes,
                                       CUresult& error);

/// A descriptor that other processes can import; -1 with errno where there is none.
int ExportPhysical(Physical& physical);
/// The memory behind such a descriptor; null: it is none.
std::shared_ptr<Physical> ImportPhysical(int fd);

/// What of a device's memory a multicast object holds.
struct Binding {
  Device* device = nullptr;
  std::size_t offset = 0;  ///< in the multicast object
  std::size_t bytes = 0;
  std::shared_ptr<Physical> physical;
};

/// cuMulticastCreate's. What is bound stays alive with it; that a store reaches all of it is not
/// simulated.
struct Multicast {
  unsigned int team_size = 0;
  std::vector<Device*> devices;
  std::vector<Binding> bindings;
};

/// A handle of cuMemCreate and how often it was given out.
struct Handle {
  std::shared_ptr<Physical> physical;
  unsigned int references = 0;
  std::shared_ptr<Multicast> multicast =
      nullptr;  ///< it is one; its `physical` is an address range
};

/// One cuMemMap.
struct Mapping {
  std::size_t bytes = 0;
  CUmemGenericAllocationHandle handle = 0;
  std::shared_ptr<Physical> physical;
  CUmemAccess_flags access = CU_MEM_ACCESS_FLAGS_PROT_NONE;
};

/// A part of an array that memory of cuMemCreate lies behind.
struct Tile {
  CUarray array;
  unsigned long long part[4];
  std::shared_ptr<Physical> physical;
};

/// Reservations, handles and mappings of a process. Thread-safe by its mutex.
struct Vmm {
  std::mutex mu;                   ///< guards the rest
  std::condition_variable joined;  ///< a device was added to a multicast object
  std::map<CUdeviceptr, std::size_t> reservations;
  std::map<CUmemGenericAllocationHandle, Handle> handles;
  std::map<CUdeviceptr, Mapping> mappings;
  std::vector<Tile> tiles;
  CUmemGenericAllocationHandle next_handle = 0x7e55e7a0000001;
};

/// This process's; never destroyed.
Vmm& TheVmm();

/// True if the stretch lies in one reservation. REQUIRES: vmm.mu is held.
bool IsReserved(const Vmm& vmm, CUdeviceptr address, std::size_t bytes);
/// True if any of it is mapped. REQUIRES: vmm.mu is held.
bool IsMapped(const Vmm& vmm, CUdeviceptr address, std::size_t bytes);
/// The mapping at an address, or the end. REQUIRES: vmm.mu is held.
std::map<CUdeviceptr, Mapping>::const_iterator FindMapping(const Vmm& vmm, CUdeviceptr address);

/// Calls `visit` for the mappings that make up exactly this stretch; false: they do not.
/// REQUIRES: vmm.mu is held.
template <typename Visitor>
bool ForMappings(Vmm& vmm, CUdeviceptr address, std::size_t bytes, Visitor visit) {
  const CUdeviceptr end = address + bytes;
  for (CUdeviceptr at = address; at < end;) {
    const auto found = vmm.mappings.find(at);
    if (found == vmm.mappings.end() || found->second.bytes > end - at) return false;
    at += found->second.bytes;
  }
  for (CUdeviceptr at = address; at < end;) {
    const auto found = vmm.mappings.find(at);
    at += found->second.bytes;
    visit(found);
  }
  return true;
}
/// Returns once every device of a multicast object was added to it, at once for any other handle.
/// `lock` is of vmm.mu, held before and after.
void WaitForTeam(Vmm& vmm, std::unique_lock<std::mutex>& lock, CUmemGenericAllocationHandle handle);
}  // namespace tessera::sim::cuda
