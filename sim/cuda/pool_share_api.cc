#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>

#include "common/abi/cuda_share.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/pool.h"
#include "sim/cuda/shared_pages.h"

using namespace tessera::sim::cuda;

namespace {

constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
constexpr std::uint64_t kMagic = 0x7465737365726150;

/// What stands in a CUmemPoolPtrExportData.
struct Ticket {
  std::uint64_t magic;
  std::uint64_t inode;   ///< of the pool's memory file
  std::uint64_t offset;  ///< in it
  std::uint64_t bytes;
  std::uint64_t rest[4];
};
static_assert(sizeof(Ticket) == sizeof(CUmemPoolPtrExportData));

std::uint64_t InodeOf(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

CUresult Export(void* out, CUmemoryPool handle, CUmemAllocationHandleType type,
                unsigned long long flags) {
  if (const CUresult error = Ready()) return error;
  const auto pool = TheDriver().pools.Find(handle);
  if (out == nullptr || pool == nullptr || pool->fd < 0 || pool->imported || type != kDescriptor ||
      flags != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const int fd = fcntl(pool->fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *static_cast<int*>(out) = fd;
  return CUDA_SUCCESS;
}

CUresult Import(CUmemoryPool* out, void* os_handle, CUmemAllocationHandleType type,
                unsigned long long flags) {
  if (const CUresult error = Ready()) return error;
  if (out == nullptr || type != kDescriptor || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(os_handle));
  for (Device& device : TheDriver().devices) {
    if (!IsPages("/proc/self/fd/" + std::to_string(fd), PoolFileName(device))) continue;
    auto pool = std::make_shared<Pool>();
    pool->device = &device;
    pool->imported = true;
    pool->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    *out = reinterpret_cast<CUmemoryPool>(pool.get());
    TheDriver().pools.Add(std::move(pool));
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult ExportPointer(CUmemPoolPtrExportData* out, CUdeviceptr ptr) {
  const Current current;
  if (!current) return current.error();
  const auto found = TheDriver().memory.Find(ptr);
  if (out == nullptr || !found || found->kind != MemoryKind::kPool || found->base != ptr ||
      found->pool->fd < 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const Ticket ticket{.magic = kMagic,
                      .inode = InodeOf(found->pool->fd),
                      .offset = ptr - found->device->arena.start(),
                      .bytes = found->bytes,
                      .rest = {}};
  std::memcpy(out, &ticket, sizeof(*out));
  return CUDA_SUCCESS;
}

CUresult ImportPointer(CUdeviceptr* out, CUmemoryPool handle, const CUmemPoolPtrExportData* data) {
  const Current current;
  if (!current) return current.error();
  const auto pool = TheDriver().pools.Find(handle);
  if (out == nullptr || data == nullptr || pool == nullptr || !pool->imported) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Ticket ticket{};
  std::memcpy(&ticket, data, sizeof(ticket));
  if (ticket.magic != kMagic || ticket.inode != InodeOf(pool->fd)) return CUDA_ERROR_INVALID_VALUE;
  const CUdeviceptr base = MapShared(pool->fd, ticket.offset, ticket.bytes);
  if (base == 0) return CUDA_ERROR_MAP_FAILED;
  TheDriver().memory.Add({.base = base,
                          .bytes = ticket.bytes,
                          .reserved = ticket.bytes,
                          .kind = MemoryKind::kPoolImported,
                          .device = pool->device,
                          .ctx = current.ctx(),
                          .pool = pool});
  *out = base;
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemPoolExportToShareableHandle(void* out, CUmemoryPool pool,
                                          CUmemAllocationHandleType type,
                                          unsigned long long flags) {
  return Export(out, pool, type, flags);
}
CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool* pool, void* os_handle,
                                            CUmemAllocationHandleType type,
                                            unsigned long long flags) {
  return Import(pool, os_handle, type, flags);
}
CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData* out, CUdeviceptr ptr) {
  return ExportPointer(out, ptr);
}
CUresult cuMemPoolImportPointer(CUdeviceptr* ptr, CUmemoryPool pool, CUmemPoolPtrExportData* data) {
  return ImportPointer(ptr, pool, data);
}

}  // extern "C"
