// What the multi-process tests run, linked with -lcuda. Usage: sim_workload hold BYTES | fill BLOCK
// | spin NANOSECONDS COUNT | late 0. Each prints what it got (spin: its result and when its kernels
// began and ended, by CLOCK_MONOTONIC in ns), then waits for a line on its standard input.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/abi/cuda.h"
#include "sim/gpu/kernels.h"

namespace {

using namespace std::chrono_literals;

bool Start() {
  CUcontext ctx = nullptr;
  const CUresult init = cuInit(0);
  const CUresult got = init == CUDA_SUCCESS ? cuDevicePrimaryCtxRetain(&ctx, 0) : init;
  if (got == CUDA_SUCCESS) cuCtxSetCurrent(ctx);
  if (got != CUDA_SUCCESS) std::printf("error %d\n", got);
  return got == CUDA_SUCCESS;
}

void Await() {
  std::fflush(stdout);
  while (true) {
    const int c = std::getchar();
    if (c == EOF || c == '\n') return;
  }
}

int Hold(std::size_t bytes) {
  CUdeviceptr ptr = 0;
  std::printf("held %d\n", cuMemAlloc_v2(&ptr, bytes));
  Await();
  return 0;
}

/// As many blocks as the device gives.
int Fill(std::size_t block) {
  Await();
  CUdeviceptr ptr = 0;
  std::size_t count = 0;
  while (cuMemAlloc_v2(&ptr, block) == CUDA_SUCCESS) ++count;
  std::printf("%zu\n", count);
  Await();
  return 0;
}

int Spin(unsigned long long ns, int count) {
  CUmodule module = nullptr;
  CUfunction spin = nullptr;
  cuModuleLoadData(&module, tessera::sim::gpu::kKernelsPtx);
  cuModuleGetFunction(&spin, module, "spin");
  std::printf("ready\n");
  Await();
  void* params[] = {&ns};
  const auto begin = std::chrono::steady_clock::now().time_since_epoch();
  for (int i = 0; i < count; ++i) {
    cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr);
  }
  const CUresult result = cuCtxSynchronize();
  const auto end = std::chrono::steady_clock::now().time_since_epoch();
  std::printf("%d %lld %lld\n", result, static_cast<long long>(begin / 1ns),
              static_cast<long long>(end / 1ns));
  Await();
  return 0;
}

/// Set up before cuInit, so that it runs after the driver's own handler.
void AfterTheDriver() {
  CUdeviceptr ptr = 0;
  int count = 0;
  std::printf("late %d %d %d\n", cuMemAlloc_v2(&ptr, 1), cuDeviceGetCount(&count), cuInit(0));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 2 ? argv[1] : "";
  if (verb == "late") std::atexit(AfterTheDriver);
  if (!Start()) return 1;
  if (verb == "hold") return Hold(std::strtoull(argv[2], nullptr, 10));
  if (verb == "late") return 0;
  if (verb == "fill") return Fill(std::strtoull(argv[2], nullptr, 10));
  if (verb == "spin" && argc > 3) {
    return Spin(std::strtoull(argv[2], nullptr, 10), std::atoi(argv[3]));
  }
  std::fprintf(stderr, "sim_workload: see the first lines of workload.cc\n");
  return 2;
}
