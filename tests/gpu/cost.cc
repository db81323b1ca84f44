// What calls cost, on whatever driver there is: `cost` prints "ROW NANOSECONDS" for each row of the
// table in interceptor/README.md; cost.py runs it bare and limited in turn. Needs no CUDA toolkit:
// the driver is opened when it runs. `cost --only-init` prints the CPU time of a process until
// cuInit has returned.
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "common/abi/cuda.h"

namespace {

constexpr std::size_t kLive = 20'000;
constexpr int kBatches = 31;

#define COST_FUNCTIONS(X)                                                           \
  X(cuInit)                                                                         \
  X(cuDevicePrimaryCtxRetain)                                                       \
  X(cuCtxSetCurrent) X(cuCtxSynchronize) X(cuModuleLoadData) X(cuModuleGetFunction) \
      X(cuLaunchKernel) X(cuMemAlloc_v2) X(cuMemFree_v2) X(cuMemGetInfo_v2) X(cuGetProcAddress_v2)
struct Api {
#define X(symbol) decltype(&::symbol) symbol = nullptr;
  COST_FUNCTIONS(X)
#undef X
};
Api api;

bool Load() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return false;
#define X(symbol)                                                             \
  api.symbol = reinterpret_cast<decltype(&::symbol)>(dlsym(driver, #symbol)); \
  if (api.symbol == nullptr) return false;
  COST_FUNCTIONS(X)
#undef X
  return true;
}

double Now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void Check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s gave %d\n", what, result);
  exit(1);
}

/// Median over batches of the time for one call; `before` and `after` of a batch are not timed.
template <typename Before, typename Call, typename After>
double Measure(std::size_t calls, const Before& before, const Call& call, const After& after) {
  std::vector<double> each;
  for (int i = 0; i < kBatches; ++i) {
    before();
    const double start = Now(CLOCK_MONOTONIC);
    for (std::size_t k = 0; k < calls; ++k) call(k);
    each.push_back((Now(CLOCK_MONOTONIC) - start) / static_cast<double>(calls));
    after();
  }
  std::nth_element(each.begin(), each.begin() + kBatches / 2, each.end());
  return each[kBatches / 2];
}

void Tell(const char* row, double nanoseconds) { printf("%s %.1f\n", row, nanoseconds); }
void Nothing() {}

CUfunction Kernel() {
  static const char kModule[] =
      ".version 6.0\n.target sm_52\n.address_size 64\n.visible .entry nothing()\n{\n  ret;\n}\n";
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  Check(api.cuModuleLoadData(&module, kModule), "cuModuleLoadData");
  Check(api.cuModuleGetFunction(&kernel, module, "nothing"), "cuModuleGetFunction");
  return kernel;
}

/// As many as the driver's queue takes without waiting for the GPU.
void MeasureLaunches() {
  const CUfunction kernel = Kernel();
  const auto launch = [&](std::size_t) {
    api.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
  };
  const auto drain = [] { Check(api.cuCtxSynchronize(), "cuCtxSynchronize"); };
  Tell("cuLaunchKernel", Measure(200, drain, launch, drain));
}

void MeasureMemory() {
  std::vector<CUdeviceptr> live(kLive);
  const auto allocate = [&](std::size_t i) {
    Check(api.cuMemAlloc_v2(&live[i], 512), "cuMemAlloc_v2");
  };
  const auto free = [&](std::size_t i) {
    Check(api.cuMemFree_v2(live[kLive - 1 - i]), "cuMemFree_v2");
  };
  const auto all = [](const auto& call) {
    return [&call] {
      for (std::size_t i = 0; i < kLive; ++i) call(i);
    };
  };
  Tell("cuMemAlloc_up_to_20000", Measure(kLive, Nothing, allocate, all(free)));
  Tell("cuMemFree_newest_of_20000", Measure(kLive, all(allocate), free, Nothing));
  Tell("cuMemAlloc_and_cuMemFree", Measure(
                                       2000, Nothing,
                                       [&](std::size_t) {
                                         allocate(kLive - 1);
                                         free(0);
                                       },
                                       Nothing));
}

void MeasureQuestions() {
  std::size_t free_bytes = 0;
  std::size_t total = 0;
  Tell("cuMemGetInfo",
       Measure(
           2000, Nothing, [&](std::size_t) { api.cuMemGetInfo_v2(&free_bytes, &total); }, Nothing));
  void* found = nullptr;
  CUdriverProcAddressQueryResult status{};
  Tell("cuGetProcAddress_unhooked", Measure(
                                        2000, Nothing,
                                        [&](std::size_t) {
                                          api.cuGetProcAddress_v2("cuStreamCreate", &found, 12000,
                                                                  0, &status);
                                        },
                                        Nothing));
}

}  // namespace

int main(int argc, char** argv) {
  if (!Load()) {
    fprintf(stderr, "no driver, or one that lacks functions\n");
    return 1;
  }
  Check(api.cuInit(0), "cuInit");
  if (argc == 2 && strcmp(argv[1], "--only-init") == 0) {
    Tell("process_until_cuInit", Now(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
  }
  CUcontext context = nullptr;
  Check(api.cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  Check(api.cuCtxSetCurrent(context), "cuCtxSetCurrent");
  MeasureLaunches();
  MeasureMemory();
  MeasureQuestions();
  return 0;
}
