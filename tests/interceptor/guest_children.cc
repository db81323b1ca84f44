// Scenes about processes that beget processes, or become other programs.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "common/abi/cuda.h"
#include "tests/interceptor/guest.h"

namespace guest {
/// Allocating threads, and children that are forked meanwhile and call the driver.
void ForkAmongThreads(const Numbers& n) {
  Start();
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      cuCtxSetCurrent(context);
      while (!stop) {
        CUdeviceptr ptr = 0;
        if (cuMemAlloc_v2(&ptr, kMib) == CUDA_SUCCESS) cuMemFree_v2(ptr);
        cuMemAlloc_v2(&ptr, 65 * kMib);
      }
    });
  }
  for (int i = 0; i < n.at(0); ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(10);  // a lock that nobody will ever release
      CUdeviceptr ptr = 0;
      std::size_t size = 0;
      cuMemAlloc_v2(&ptr, kMib);
      cuMemGetInfo_v2(&size, &size);
      // Addresses of every part of our books.
      for (CUdeviceptr other = 1; other < 256; ++other) cuMemFree_v2(other << 20);
      _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    Expect(WIFEXITED(status), "a child hung");
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  std::size_t free = 0, total = 0;
  cuMemGetInfo_v2(&free, &total);
  Expect(free == total, "bytes are left over");
}

/// vfork lends the child the parent's memory until it execs.
void VforkAndExec(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 32 * kMib) == CUDA_SUCCESS, "alloc");
  for (int i = 0; i < 10; ++i) {
    const pid_t pid = vfork();
    if (pid == 0) {
      execl("/proc/self/exe", "guest", "half", nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    Expect(status == 0, "the new program");
  }
  std::size_t free = 0, total = 0;
  cuMemGetInfo_v2(&free, &total);
  Expect(free == 32 * kMib, "the parent's account");
  Expect(cuMemFree_v2(ptr) == CUDA_SUCCESS, "free");
}

void Half(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 33 * kMib) == CUDA_ERROR_OUT_OF_MEMORY, "beyond the other half");
  Expect(cuMemAlloc_v2(&ptr, 32 * kMib) == CUDA_SUCCESS, "the other half");
}

/// The same process as another program: what it held before is nobody's.
void ExecAfterAlloc(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 64 * kMib) == CUDA_SUCCESS, "alloc");
  execl("/proc/self/exe", "guest", "whole", nullptr);
}

void Whole(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 64 * kMib) == CUDA_SUCCESS, "all of it again");
}

}  // namespace guest
