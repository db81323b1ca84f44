#include "sim/cuda/vmm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "sim/cuda/driver.h"

namespace tessera::sim::cuda {

namespace {

/// Of the memory file; the device's uuid follows, and who made it.
constexpr char kName[] = "tessera-sim-device-memory-";

}  // namespace

Physical::~Physical() {
  if (fd < 0) return;
  close(fd);
  if (is_ours && !is_kept) device->Release(bytes);
  if (hold != nullptr) device->state->Drop(*hold);
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
  physical->fd = memfd_create(
      (kName + device.config.uuid + "-" + std::to_string(gpu::Self())).c_str(), MFD_CLOEXEC);
  if (physical->fd < 0) {
    device.Release(bytes);
    return nullptr;
  }
  if (ftruncate(physical->fd, static_cast<off_t>(bytes)) != 0) return nullptr;
  error = CUDA_SUCCESS;
  return physical;
}

int ExportPhysical(Physical& physical) {
  physical.is_kept = true;
  return fcntl(physical.fd, F_DUPFD_CLOEXEC, 0);
}

std::shared_ptr<Physical> ImportPhysical(int fd) {
  char name[128] = {};
  struct stat status = {};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  if (readlink(link.c_str(), name, sizeof(name) - 1) <= 0 || fstat(fd, &status) != 0) {
    return nullptr;
  }
  for (Device& device : TheDriver().devices) {
    if (std::string(name).find(kName + device.config.uuid) == std::string::npos) continue;
    auto physical = std::make_shared<Physical>();
    physical->device = &device;
    physical->bytes = static_cast<std::size_t>(status.st_size);
    physical->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    physical->is_ours = false;
    const std::string text(name);
    const gpu::ProcessId maker = std::strtoull(text.c_str() + text.rfind('-') + 1, nullptr, 10);
    if (maker != gpu::Self() && device.state->Attach()) {
      physical->hold = device.state->Open(maker, status.st_ino, physical->bytes);
    }
    physical->prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    physical->prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    physical->prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, device.ordinal};
    return physical;
  }
  return nullptr;
}

Vmm& TheVmm() {
  static Vmm& vmm = *new Vmm;
  return vmm;
}

void WaitForTeam(Vmm& vmm, std::unique_lock<std::mutex>& lock,
                 CUmemGenericAllocationHandle handle) {
  vmm.joined.wait(lock, [&] {
    const auto found = vmm.handles.find(handle);
    if (found == vmm.handles.end() || found->second.multicast == nullptr) return true;
    const Multicast& multicast = *found->second.multicast;
    return multicast.devices.size() == multicast.team_size;
  });
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
