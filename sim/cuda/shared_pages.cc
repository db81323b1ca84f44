#include "sim/cuda/shared_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace tessera::sim::cuda {
namespace {

void* Pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

/// Device memory is not there in a forked child.
void KeepFromChildren(CUdeviceptr base, std::uint64_t bytes) {
  madvise(Pointer(base), bytes, MADV_DONTFORK);
  madvise(Pointer(base), bytes, MADV_DONTDUMP);
}

std::uint64_t PagesOf(std::uint64_t first, std::uint64_t bytes) {
  return (first % kPageBytes + bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

int MakePages(const std::string& name, std::uint64_t bytes) {
  const int fd = memfd_create(name.c_str(), MFD_CLOEXEC);
  if (fd >= 0 && ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

bool IsPages(const std::string& descriptor_path, const std::string& name) {
  char target[160] = {};
  if (readlink(descriptor_path.c_str(), target, sizeof(target) - 1) <= 0) return false;
  return std::string(target) == "/memfd:" + name + " (deleted)";
}

bool BackByFile(CUdeviceptr base, std::uint64_t bytes, int fd, std::uint64_t offset) {
  if (mmap(Pointer(base), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
           static_cast<off_t>(offset)) == MAP_FAILED) {
    return false;
  }
  KeepFromChildren(base, bytes);
  return true;
}

void BackByNothing(CUdeviceptr base, std::uint64_t bytes) {
  mmap(Pointer(base), bytes, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  KeepFromChildren(base, bytes);
}

CUdeviceptr MapShared(int fd, std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t first = offset / kPageBytes * kPageBytes;
  void* const start = mmap(nullptr, PagesOf(offset, bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                           static_cast<off_t>(first));
  if (start == MAP_FAILED) return 0;
  const auto base = reinterpret_cast<CUdeviceptr>(start);
  KeepFromChildren(base, PagesOf(offset, bytes));
  return base + (offset - first);
}

void UnmapShared(CUdeviceptr base, std::uint64_t bytes) {
  munmap(Pointer(base / kPageBytes * kPageBytes), PagesOf(base, bytes));
}

}  // namespace tessera::sim::cuda
