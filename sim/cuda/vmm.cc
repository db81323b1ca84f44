#include "sim/cuda/vmm.h"

#include <sys/mman.h>
#include <unistd.h>

#include "sim/cuda/driver.h"

namespace tessera::sim::cuda {

Physical::~Physical() {
  if (fd < 0) return;
  close(fd);
  device->Release(bytes);
}

std::shared_ptr<Physical> MakePhysical(const CUmemAllocationProp& prop, std::size_t bytes,
                                       CUresult& error) {
  Device& device = *FindDevice(prop.location.id);
  error = CUDA_ERROR_OUT_OF_MEMORY;
  // Needs no context: this may be the first that the process has of the device.
  if (!device.state->Attach() || !device.Reserve(bytes)) return nullptr;
  auto physical = std::make_shared<Physical>();
  physical->device = &device;
  physical->bytes = bytes;
  physical->prop = prop;
  physical->fd = memfd_create("tessera-sim-device-memory", MFD_CLOEXEC);
  if (physical->fd < 0) {
    device.Release(bytes);
    return nullptr;
  }
  if (ftruncate(physical->fd, static_cast<off_t>(bytes)) != 0) return nullptr;
  error = CUDA_SUCCESS;
  return physical;
}

Vmm& TheVmm() {
  static Vmm& vmm = *new Vmm;
  return vmm;
}

bool IsReserved(const Vmm& vmm, CUdeviceptr address, std::size_t bytes) {
  const auto next = vmm.reservations.upper_bound(address);
  if (next == vmm.reservations.begin()) return false;
  const auto& [base, length] = *std::prev(next);
  return address - base <= length && bytes <= length - (address - base);
}

bool IsMapped(const Vmm& vmm, CUdeviceptr address, std::size_t bytes) {
  const auto next = vmm.mappings.lower_bound(address);
  if (next != vmm.mappings.end() && next->first - address < bytes) return true;
  if (next == vmm.mappings.begin()) return false;
  const auto before = std::prev(next);
  return before->first + before->second.bytes > address;
}

std::map<CUdeviceptr, Mapping>::const_iterator FindMapping(const Vmm& vmm, CUdeviceptr address) {
  const auto next = vmm.mappings.upper_bound(address);
  if (next == vmm.mappings.begin()) return vmm.mappings.end();
  const auto before = std::prev(next);
  return address - before->first < before->second.bytes ? before : vmm.mappings.end();
}

}  // namespace tessera::sim::cuda
