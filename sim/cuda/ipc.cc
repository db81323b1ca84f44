#include "sim/cuda/ipc.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "sim/cuda/driver.h"
#include "sim/cuda/shared_pages.h"
#include "sim/gpu/process_id.h"

namespace tessera::sim::cuda {
namespace {

constexpr std::uint64_t kMagic = 0x7465737365726149;

/// What stands in a CUipcMemHandle.
struct Ticket {
  std::uint64_t magic;
  gpu::ProcessId maker;
  std::uint64_t serial;  ///< of this export
  std::uint64_t bytes;
  std::uint32_t offset;  ///< of the allocation in the file: it may start within a page
  std::int32_t fd;       ///< in the maker
  CUuuid uuid;           ///< of its device
  std::uint64_t unused;
};
static_assert(sizeof(Ticket) == sizeof(CUipcMemHandle));

struct Export {
  std::uint64_t serial;
  int fd;
};
struct Import {
  Device* device;
  gpu::Hold* hold;
  Ticket ticket;
  const Context* ctx;
  unsigned int references;
};

struct Ipc {
  std::mutex mu;  ///< guards the rest
  std::map<CUdeviceptr, Export> exports;
  std::map<CUdeviceptr, Import> imports;
  std::uint64_t next_serial = 1;
};

Ipc& TheIpc() {
  static Ipc& ipc = *new Ipc;
  return ipc;
}

std::string NameOf(gpu::ProcessId maker, std::uint64_t serial) {
  return "tessera-sim-ipc-" + std::to_string(maker) + "-" + std::to_string(serial);
}

CUuuid UuidOf(const Device& device) {
  CUuuid uuid{};
  cuDeviceGetUuid_v2(&uuid, device.ordinal);
  return uuid;
}

/// Writes what is not empty: memory that was never written costs no host memory afterwards either.
bool CopyPages(CUdeviceptr first, std::uint64_t bytes, int fd) {
  static constexpr char kEmpty[kPageBytes] = {};
  for (std::uint64_t at = 0; at < bytes; at += kPageBytes) {
    const auto* page = reinterpret_cast<const char*>(first + at);
    if (std::memcmp(page, kEmpty, kPageBytes) == 0) continue;
    if (pwrite(fd, page, kPageBytes, static_cast<off_t>(at)) != kPageBytes) return false;
  }
  return true;
}

/// -1: no memory. REQUIRES: ipc.mu is held.
int ShareBlock(const Allocation& block, std::uint64_t serial) {
  const CUdeviceptr first = block.base / kPageBytes * kPageBytes;
  const std::uint64_t bytes = RoundUp(block.base + block.reserved - first, kPageBytes);
  const int fd = MakePages(NameOf(gpu::Self(), serial), bytes);
  if (fd < 0) return -1;
  if (CopyPages(first, bytes, fd) && BackByFile(first, bytes, fd, 0)) return fd;
  close(fd);
  return -1;
}

Device* DeviceOf(const Ticket& ticket) {
  for (Device& device : TheDriver().devices) {
    const CUuuid uuid = UuidOf(device);
    if (std::memcmp(&uuid, &ticket.uuid, sizeof(uuid)) == 0) return &device;
  }
  return nullptr;
}

}  // namespace

bool ExportBlock(const Allocation& block, CUipcMemHandle& handle) {
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mu);
  auto found = ipc.exports.find(block.base);
  if (found == ipc.exports.end()) {
    const std::uint64_t serial = ipc.next_serial++;
    const int fd = ShareBlock(block, serial);
    if (fd < 0) return false;
    found = ipc.exports.emplace(block.base, Export{serial, fd}).first;
  }
  const Ticket ticket{.magic = kMagic,
                      .maker = gpu::Self(),
                      .serial = found->second.serial,
                      .bytes = block.bytes,
                      .offset = static_cast<std::uint32_t>(block.base % kPageBytes),
                      .fd = found->second.fd,
                      .uuid = UuidOf(*block.device),
                      .unused = 0};
  std::memcpy(&handle, &ticket, sizeof(handle));
  return true;
}

void ForgetExport(const Allocation& block) {
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mu);
  const auto found = ipc.exports.find(block.base);
  if (found == ipc.exports.end()) return;
  close(found->second.fd);
  ipc.exports.erase(found);
  // Neighbours in the same page keep it as it is: nobody can ask for it any more.
  if (block.base % kPageBytes == 0 && block.reserved % kPageBytes == 0) {
    BackByNothing(block.base, block.reserved);
  }
}

CUresult ImportBlock(const ContextPtr& ctx, const CUipcMemHandle& handle, CUdeviceptr& ptr) {
  Ticket ticket{};
  std::memcpy(&ticket, &handle, sizeof(ticket));
  if (ticket.magic != kMagic) return CUDA_ERROR_INVALID_VALUE;
  if (ticket.maker == gpu::Self()) return CUDA_ERROR_INVALID_CONTEXT;
  Device* const device = DeviceOf(ticket);
  if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mu);
  for (auto& [base, import] : ipc.imports) {
    if (std::memcmp(&import.ticket, &ticket, sizeof(ticket)) != 0 || import.ctx != ctx.get()) {
      continue;
    }
    ++import.references;
    ptr = base;
    return CUDA_SUCCESS;
  }
  const std::string path =
      "/proc/" + std::to_string(gpu::PidOf(ticket.maker)) + "/fd/" + std::to_string(ticket.fd);
  if (!gpu::IsAlive(ticket.maker) || !IsPages(path, NameOf(ticket.maker, ticket.serial))) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  gpu::Hold* const hold =
      device->state->Open(ticket.maker, ticket.serial, RoundUp(ticket.bytes, kGranuleBytes));
  const CUdeviceptr base =
      fd < 0 || hold == nullptr ? 0 : MapShared(fd, ticket.offset, ticket.bytes);
  if (fd >= 0) close(fd);
  if (base == 0) {
    if (hold != nullptr) device->state->Drop(*hold);
    return CUDA_ERROR_MAP_FAILED;
  }
  TheDriver().memory.Add({.base = base,
                          .bytes = ticket.bytes,
                          .reserved = ticket.bytes,
                          .kind = MemoryKind::kImported,
                          .device = device,
                          .ctx = ctx});
  ipc.imports.emplace(base, Import{device, hold, ticket, ctx.get(), 1});
  ptr = base;
  return CUDA_SUCCESS;
}

bool CloseImport(CUdeviceptr ptr) {
  Ipc& ipc = TheIpc();
  {
    const std::lock_guard lock(ipc.mu);
    const auto found = ipc.imports.find(ptr);
    if (found == ipc.imports.end()) return false;
    if (--found->second.references > 0) return true;
  }
  const auto taken = TheDriver().memory.Take(
      ptr, [](const Allocation& block) { return block.kind == MemoryKind::kImported; });
  if (taken) ReleaseAllocation(*taken);
  return taken.has_value();
}

void ForgetImport(CUdeviceptr ptr) {
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mu);
  const auto found = ipc.imports.find(ptr);
  if (found == ipc.imports.end()) return;
  found->second.device->state->Drop(*found->second.hold);
  ipc.imports.erase(found);
}

}  // namespace tessera::sim::cuda
