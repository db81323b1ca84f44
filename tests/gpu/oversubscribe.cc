// A tenant that takes memory by cuMemAlloc until it has what it was told or is refused, writes all
// of it on the GPU, twice, and reads all of it back. `oversubscribe MIB`. Needs no CUDA toolkit:
// the driver is opened when it runs. With a context it prints "ready MIB", what is free, and waits
// for a line; then it prints "held BLOCKS managed BLOCKS error E wrong WORDS free MIB first S again
// S", waits for another, frees, prints "freed MIB".
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <vector>

#include "common/abi/cuda_more.h"

namespace {

#define FUNCTIONS(X)          \
  X(cuInit)                   \
  X(cuDevicePrimaryCtxRetain) \
  X(cuCtxSetCurrent)          \
  X(cuCtxSynchronize)         \
  X(cuMemAlloc_v2)            \
  X(cuMemFree_v2) X(cuMemGetInfo_v2) X(cuMemsetD32_v2) X(cuMemcpyDtoH_v2) X(cuPointerGetAttribute)

struct Api {
#define X(name) decltype(&::name) name;
  FUNCTIONS(X)
#undef X
} api;

constexpr std::size_t kMib = std::size_t{1} << 20;
constexpr std::size_t kBlock = 64 * kMib;
constexpr std::size_t kWords = kBlock / sizeof(unsigned int);

void Check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "oversubscribe: %s: error %d\n", what, result);
  exit(1);
}
#define CALL(name, ...) Check(api.name(__VA_ARGS__), #name)

void Load() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) Check(CUDA_ERROR_NOT_FOUND, "libcuda.so.1");
#define X(name)                                                          \
  api.name = reinterpret_cast<decltype(api.name)>(dlsym(driver, #name)); \
  if (api.name == nullptr) Check(CUDA_ERROR_NOT_FOUND, #name);
  FUNCTIONS(X)
#undef X
}

double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Another value in each block and in each of its eighths.
unsigned int Value(std::size_t block, std::size_t eighth, unsigned int round) {
  return static_cast<unsigned int>(block * 8 + eighth) * 2654435761U + round;
}

/// Seconds until the GPU has written it all.
double WriteAll(const std::vector<CUdeviceptr>& blocks, unsigned int round) {
  const double begin = Now();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (std::size_t part = 0; part < 8; ++part) {
      CALL(cuMemsetD32_v2, blocks[i] + part * (kBlock / 8), Value(i, part, round), kWords / 8);
    }
  }
  CALL(cuCtxSynchronize);
  return Now() - begin;
}

std::size_t CountWrong(const std::vector<CUdeviceptr>& blocks, unsigned int round) {
  std::vector<unsigned int> words(kWords);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    CALL(cuMemcpyDtoH_v2, words.data(), blocks[i], kBlock);
    for (std::size_t at = 0; at < kWords; ++at) {
      wrong += words[at] == Value(i, at / (kWords / 8), round) ? 0 : 1;
    }
  }
  return wrong;
}

std::size_t FreeMib() {
  std::size_t free = 0;
  std::size_t total = 0;
  CALL(cuMemGetInfo_v2, &free, &total);
  return free / kMib;
}

void Run(std::size_t wanted) {
  std::vector<CUdeviceptr> blocks;
  std::size_t managed = 0;
  CUresult result = CUDA_SUCCESS;
  while ((blocks.size() + 1) * kBlock <= wanted) {
    CUdeviceptr ptr = 0;
    result = api.cuMemAlloc_v2(&ptr, kBlock);
    if (result != CUDA_SUCCESS) break;
    unsigned int is_managed = 0;
    CALL(cuPointerGetAttribute, &is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, ptr);
    managed += is_managed;
    blocks.push_back(ptr);
  }
  const double first = WriteAll(blocks, 1);
  std::size_t wrong = CountWrong(blocks, 1);
  const double again = WriteAll(blocks, 2);
  wrong += CountWrong(blocks, 2);
  printf("held %zu managed %zu error %d wrong %zu free %zu first %.3f again %.3f\n", blocks.size(),
         managed, result, wrong, FreeMib(), first, again);
  fflush(stdout);
  getchar();
  for (const CUdeviceptr block : blocks) CALL(cuMemFree_v2, block);
  printf("freed %zu\n", FreeMib());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: oversubscribe MIB\n");
    return 2;
  }
  Load();
  CUcontext context = nullptr;
  CALL(cuInit, 0);
  CALL(cuDevicePrimaryCtxRetain, &context, 0);
  CALL(cuCtxSetCurrent, context);
  printf("ready %zu\n", FreeMib());
  fflush(stdout);
  getchar();
  Run(strtoull(argv[1], nullptr, 10) * kMib);
  return 0;
}
