// What the library adds to calls, on whatever driver there is; needs no CUDA toolkit. In one
// process short batches of the driver's own function and of the one that dlsym gives take turns on
// one CPU, so that what disturbs one disturbs the other, and the difference is taken within each
// pair.
//
//   cost limited   under libtessera.so: dlsym gives the library's functions
//   cost control   bare: both are the driver's, and the differences have to be 0
//   cost start     bare or not: CPU time of a process from its start to points on its way
//
// A further KIB, of limited and control, says how much memory and code is touched before each call,
// of either side (cold.h); 0: none.
//
// The first two print "ROW OWN FOUND ADDED LOWER UPPER": medians in ns for one call, and quartiles
// of the differences. The third prints "POINT NS". cost.py runs them, and says what is promised.
#include <dlfcn.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "common/abi/cuda.h"
#include "tests/gpu/cold.h"
#include "tests/gpu/paired.h"
#include "tests/gpu/past_the_library.h"

namespace {

constexpr std::size_t kBatch = 100;
constexpr std::size_t kLive = 20'000;
/// An H200 that need not map memory for them takes 1 us each.
constexpr std::size_t kBytes = 512;
/// A row takes as long, and no fewer pairs.
constexpr double kRowNs = 150e6;
constexpr std::size_t kLeastPairs = 50;

#define COST_FUNCTIONS(X)     \
  X(cuInit)                   \
  X(cuDevicePrimaryCtxRetain) \
  X(cuCtxSetCurrent)          \
  X(cuCtxGetCurrent)          \
  X(cuCtxSynchronize)         \
  X(cuModuleLoadData)         \
  X(cuModuleGetFunction)      \
  X(cuLaunchKernel) X(cuMemAlloc_v2) X(cuMemFree_v2) X(cuMemGetInfo_v2) X(cuGetProcAddress_v2)
struct Api {
#define X(symbol) decltype(&::symbol) symbol = nullptr;
  COST_FUNCTIONS(X)
#undef X
};

enum Side : std::size_t { kOwn, kFound };
Api apis[2];
cold::Breeze* breeze = nullptr;

[[noreturn]] void Fail(const char* what, int code = 0) {
  fprintf(stderr, "cost: %s: %d\n", what, code);
  exit(1);
}
void Check(CUresult result, const char* what) {
  if (result != CUDA_SUCCESS) Fail(what, result);
}

/// What is measured must be what is said: `limited` wants every measured function to be somebody
/// else's than the driver's, `control` the very same.
void CheckSides(const past_the_library::Library& driver, bool limited) {
#define X(symbol)                                                           \
  {                                                                         \
    const auto* own = reinterpret_cast<const void*>(apis[kOwn].symbol);     \
    const auto* found = reinterpret_cast<const void*>(apis[kFound].symbol); \
    if (own == nullptr || found == nullptr) Fail("missing: " #symbol);      \
    if (!driver.Holds(own)) Fail("not in the driver: " #symbol);            \
    if (!limited && own != found) Fail("not bare: " #symbol);               \
  }
  COST_FUNCTIONS(X)
#undef X
  const Api& found = apis[kFound];
  for (const void* hook : {reinterpret_cast<const void*>(found.cuLaunchKernel),
                           reinterpret_cast<const void*>(found.cuMemAlloc_v2),
                           reinterpret_cast<const void*>(found.cuMemFree_v2),
                           reinterpret_cast<const void*>(found.cuMemGetInfo_v2),
                           reinterpret_cast<const void*>(found.cuGetProcAddress_v2)}) {
    if (limited && driver.Holds(hook)) Fail("not hooked");
  }
}

void* OpenDriver() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) Fail("no driver");
  return driver;
}

void Load(bool limited) {
  void* const handle = OpenDriver();
  const past_the_library::Library driver(handle);
#define X(symbol)                                                                      \
  apis[kOwn].symbol = reinterpret_cast<decltype(&::symbol)>(driver.Function(#symbol)); \
  apis[kFound].symbol = reinterpret_cast<decltype(&::symbol)>(dlsym(handle, #symbol));
  COST_FUNCTIONS(X)
#undef X
  CheckSides(driver, limited);
}

double Now(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// The last one of those that it may use: the first ones serve more interrupts.
void StayOnOneCpu() {
  cpu_set_t may;
  if (sched_getaffinity(0, sizeof(may), &may) != 0) return;
  int cpu = CPU_SETSIZE - 1;
  while (cpu > 0 && !CPU_ISSET(cpu, &may)) --cpu;
  CPU_ZERO(&may);
  CPU_SET(cpu, &may);
  sched_setaffinity(0, sizeof(may), &may);
}

/// A batch of each side, in random order. `before` is not timed. The same machine code serves both
/// sides: a difference in its place would be a difference in time.
template <typename Before, typename Batch>
[[gnu::noinline]] void MeasurePair(paired::Pairs& pairs, const Before& before, const Batch& batch) {
  static std::minstd_rand random(static_cast<unsigned>(getpid()));
  const std::size_t first = random() >> 16 & 1;
  double ns[2] = {};
  for (const std::size_t side : {first, first ^ 1}) {
    before();
    const double start = Now();
    batch(apis[side], side);
    ns[side] = (Now() - start) / kBatch;
  }
  pairs.own.push_back(ns[kOwn]);
  pairs.found.push_back(ns[kFound]);
}

void Tell(const char* row, const paired::Pairs& pairs) {
  const std::vector<double> added = pairs.Differences();
  printf("%s %.2f %.2f %.2f %.2f %.2f\n", row, paired::Median(pairs.own),
         paired::Median(pairs.found), paired::Median(added), paired::Quantile(added, 0.25),
         paired::Quantile(added, 0.75));
}

void Nothing() {}

template <typename Before, typename Batch>
void Measure(const char* row, const Before& before, const Batch& batch) {
  paired::Pairs warm_up;
  for (int i = 0; i < 5; ++i) MeasurePair(warm_up, before, batch);
  paired::Pairs pairs;
  for (const double end = Now() + kRowNs; pairs.own.size() < kLeastPairs || Now() < end;) {
    MeasurePair(pairs, before, batch);
  }
  Tell(row, pairs);
}

CUfunction Kernel() {
  static const char kModule[] =
      ".version 6.0\n.target sm_52\n.address_size 64\n.visible .entry nothing()\n{\n  ret;\n}\n";
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  Check(apis[kFound].cuModuleLoadData(&module, kModule), "cuModuleLoadData");
  Check(apis[kFound].cuModuleGetFunction(&kernel, module, "nothing"), "cuModuleGetFunction");
  return kernel;
}

/// A batch is less than the driver's queue takes without waiting for the GPU, and finds it empty.
void MeasureLaunches() {
  const CUfunction kernel = Kernel();
  const auto drain = [] { Check(apis[kOwn].cuCtxSynchronize(), "cuCtxSynchronize"); };
  Measure("cuLaunchKernel", drain, [=](const Api& api, std::size_t) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      breeze->Blow();
      Check(api.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
            "cuLaunchKernel");
    }
  });
  drain();
}

/// Each side has its own blocks, up to 20 000 of each, and frees none of the other's.
class LiveBlocks {
 public:
  /// From none to all of them and back, the newest ones first.
  void Cycle(paired::Pairs& allocations, paired::Pairs& frees) {
    std::size_t from = 0;
    const auto allocate = [&](const Api& api, std::size_t side) {
      CUdeviceptr* const blocks = &live_[side][from];
      for (std::size_t i = 0; i < kBatch; ++i) {
        breeze->Blow();
        Check(api.cuMemAlloc_v2(&blocks[i], kBytes), "cuMemAlloc_v2");
      }
    };
    const auto free = [&](const Api& api, std::size_t side) {
      const CUdeviceptr* const blocks = &live_[side][from];
      for (std::size_t i = kBatch; i > 0; --i) {
        breeze->Blow();
        Check(api.cuMemFree_v2(blocks[i - 1]), "cuMemFree_v2");
      }
    };
    for (; from < kLive; from += kBatch) MeasurePair(allocations, Nothing, allocate);
    while (from > 0) {
      from -= kBatch;
      MeasurePair(frees, Nothing, free);
    }
  }

 private:
  std::vector<CUdeviceptr> live_[2] = {std::vector<CUdeviceptr>(kLive),
                                       std::vector<CUdeviceptr>(kLive)};
};

/// The pair with nothing else live comes first, as the library's table never shrinks.
void MeasureMemory() {
  Measure("cuMemAlloc_and_cuMemFree", Nothing, [](const Api& api, std::size_t) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      CUdeviceptr block = 0;
      breeze->Blow();
      Check(api.cuMemAlloc_v2(&block, kBytes), "cuMemAlloc_v2");
      breeze->Blow();
      Check(api.cuMemFree_v2(block), "cuMemFree_v2");
    }
  });
  LiveBlocks blocks;
  paired::Pairs warm_up;
  blocks.Cycle(warm_up, warm_up);  // both grow their tables here
  paired::Pairs allocations;
  paired::Pairs frees;
  const double end = Now() + 2 * kRowNs;
  do {
    blocks.Cycle(allocations, frees);
  } while (Now() < end);
  Tell("cuMemAlloc_up_to_20000", allocations);
  Tell("cuMemFree_newest_of_20000", frees);
}

/// What the library itself asks the driver in every allocation comes last: it is not hooked, and so
/// costs the same on both sides.
void MeasureQuestions() {
  Measure("cuMemGetInfo", Nothing, [](const Api& api, std::size_t) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      std::size_t free_bytes = 0;
      std::size_t total = 0;
      breeze->Blow();
      Check(api.cuMemGetInfo_v2(&free_bytes, &total), "cuMemGetInfo_v2");
    }
  });
  Measure("cuGetProcAddress_unhooked", Nothing, [](const Api& api, std::size_t) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      void* found = nullptr;
      CUdriverProcAddressQueryResult status{};
      breeze->Blow();
      Check(api.cuGetProcAddress_v2("cuStreamCreate", &found, 12000, 0, &status),
            "cuGetProcAddress_v2");
    }
  });
  Measure("cuCtxGetCurrent_not_hooked", Nothing, [](const Api& api, std::size_t) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      CUcontext context = nullptr;
      breeze->Blow();
      Check(api.cuCtxGetCurrent(&context), "cuCtxGetCurrent");
    }
  });
}

/// An allocation before cuInit makes the library do all that it ever does first, the same as in its
/// cuInit; of the driver it wants nothing but the answer that it is too early.
void TellStart() {
  printf("main %.0f\n", Now(CLOCK_PROCESS_CPUTIME_ID));
  void* const driver = OpenDriver();
  const auto init = reinterpret_cast<decltype(&::cuInit)>(dlsym(driver, "cuInit"));
  const auto allocate =
      reinterpret_cast<decltype(&::cuMemAlloc_v2)>(dlsym(driver, "cuMemAlloc_v2"));
  printf("driver_open %.0f\n", Now(CLOCK_PROCESS_CPUTIME_ID));
  CUdeviceptr block = 0;
  const CUresult early = allocate(&block, kBytes);
  if (early == CUDA_SUCCESS || early == CUDA_ERROR_NOT_PERMITTED) {
    Fail("an allocation before cuInit", early);
  }
  printf("first_call %.0f\n", Now(CLOCK_PROCESS_CPUTIME_ID));
  Check(init(0), "cuInit");
  printf("cuInit %.0f\n", Now(CLOCK_PROCESS_CPUTIME_ID));
}

}  // namespace

int main(int argc, char** argv) {
  StayOnOneCpu();
  const char* const mode = argc == 2 || argc == 3 ? argv[1] : "";
  if (strcmp(mode, "start") == 0) {
    TellStart();
    return 0;
  }
  if (strcmp(mode, "limited") != 0 && strcmp(mode, "control") != 0) {
    Fail("how? limited [KIB], control [KIB] or start");
  }
  cold::Breeze blows(argc == 3 ? strtoul(argv[2], nullptr, 10) : 0);
  breeze = &blows;
  Load(strcmp(mode, "limited") == 0);
  Check(apis[kFound].cuInit(0), "cuInit");
  CUcontext context = nullptr;
  Check(apis[kFound].cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  Check(apis[kFound].cuCtxSetCurrent(context), "cuCtxSetCurrent");
  MeasureLaunches();
  MeasureMemory();
  MeasureQuestions();
  return 0;
}
