// A tenant that keeps a GPU busy, and says which share of the time it got: kernels that ended times
// their length, divided by the time that went by. Any driver, simulated or real; nothing but libdl.
//
//   share [--mode queued|sync|graph|streams|nap] [--kernel-us N] [--seconds S] [--think-us T]
//         [--kernel-ns N] [--start-at UNIX_SECONDS] [--threads N] [--period-us T] [--waves N]
//         [--blocks N] [--burst N] [--launch-us L]
//
// --kernel-ns: how long one kernel takes, as a run without a limit and nothing else on the GPU has
// measured it; without it, the length is measured, which is wrong under a limit.
// --waves: a kernel of so many times as many blocks as fit at once, each of --kernel-us.
// --blocks: the same in blocks, for a client of MPS, which is told of a part of the GPU only.
// --think-us: waits for each launch and then does nothing for so long; --burst: for so many
// launches.
// --launch-us: launches no sooner than so long after the launch before, as a program whose CPU sets
// the pace.
// --period-us: one burst each so many microseconds, by the clock, and how long each took from its
// launch, or where the one before was late from when it was due, to its end: p50_us=… p99_us=…
// most_us=… most_at_s=…, which is when the slowest began.
// Prints one line: share=30.1 kernels=3601 kernel_ns=501230 wall_s=6.01 measured_ns=501230
// blocks=264
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"
#include "sim/gpu/kernels.h"

namespace {

#define FUNCTIONS(X)                                                                 \
  X(cuInit)                                                                          \
  X(cuDeviceGetAttribute)                                                            \
  X(cuDevicePrimaryCtxRetain)                                                        \
  X(cuCtxSetCurrent)                                                                 \
  X(cuCtxSynchronize)                                                                \
  X(cuModuleLoadData)                                                                \
  X(cuModuleGetFunction) X(cuLaunchKernel) X(cuStreamCreate) X(cuStreamSynchronize)  \
      X(cuEventCreate) X(cuEventRecord) X(cuEventSynchronize) X(cuEventElapsedTime)  \
          X(cuGraphCreate) X(cuGraphAddKernelNode_v2) X(cuGraphInstantiateWithFlags) \
              X(cuGraphLaunch)

struct Api {
#define X(name) decltype(&::name) name;
  FUNCTIONS(X)
#undef X
} api;

void Check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "share: %s: error %d\n", what, result);
  exit(1);
}
#define CALL(name, ...) Check(api.name(__VA_ARGS__), #name)

void Load() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) {
    fprintf(stderr, "share: no libcuda.so.1\n");
    exit(2);
  }
#define X(name)                                                          \
  api.name = reinterpret_cast<decltype(api.name)>(dlsym(driver, #name)); \
  if (api.name == nullptr) Check(CUDA_ERROR_NOT_FOUND, #name);
  FUNCTIONS(X)
#undef X
}

double Now(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Options {
  std::string mode = "queued";
  double kernel_us = 500, seconds = 6, think_us = 0, kernel_ns = 0, start_at = 0, period_us = 0,
         launch_us = 0;
  int threads = 1;
  unsigned waves = 1, blocks = 0, burst = 1;
};

Options Parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const double value = atof(argv[i + 1]);
    if (key == "--mode")
      o.mode = argv[i + 1];
    else if (key == "--kernel-us")
      o.kernel_us = value;
    else if (key == "--seconds")
      o.seconds = value;
    else if (key == "--think-us")
      o.think_us = value;
    else if (key == "--kernel-ns")
      o.kernel_ns = value;
    else if (key == "--start-at")
      o.start_at = value;
    else if (key == "--period-us")
      o.period_us = value;
    else if (key == "--launch-us")
      o.launch_us = value;
    else if (key == "--waves")
      o.waves = static_cast<unsigned>(value);
    else if (key == "--blocks")
      o.blocks = static_cast<unsigned>(value);
    else if (key == "--burst")
      o.burst = std::max(static_cast<unsigned>(value), 1U);
    else if (key == "--threads")
      o.threads = static_cast<int>(value);
    else
      Check(CUDA_ERROR_INVALID_VALUE, argv[i]);
  }
  return o;
}

constexpr int kGraphKernels = 20;

/// One thread of the tenant, with its streams and a limit to how far it runs ahead.
class Worker {
 public:
  Worker(const Options& options, CUcontext context, CUfunction spin, unsigned blocks)
      : o_(options), spin_(spin), blocks_(blocks) {
    CALL(cuCtxSetCurrent, context);
    spin_ns_ = static_cast<unsigned long long>(o_.kernel_us * 1000);
    const int streams = o_.mode == "streams" ? 2 : 1;
    for (int i = 0; i < streams; ++i) {
      CALL(cuStreamCreate, &streams_.emplace_back(), CU_STREAM_NON_BLOCKING);
    }
    // 100 ms ahead, as a program that waits for its results does, and never a full driver queue.
    const double each = o_.kernel_us * PerLaunch();
    ahead_.resize(static_cast<std::size_t>(std::clamp(100'000 / each, 2.0, 500.0)));
    for (CUevent& event : ahead_) CALL(cuEventCreate, &event, CU_EVENT_DISABLE_TIMING);
    if (o_.mode == "graph") MakeGraph();
  }

  int PerLaunch() const { return o_.mode == "graph" ? kGraphKernels : 1; }

  void One() {
    CUstream stream = streams_[launched_ % streams_.size()];
    CUevent& slot = ahead_[launched_ % ahead_.size()];
    if (launched_ >= ahead_.size()) CALL(cuEventSynchronize, slot);
    if (o_.launch_us > 0) AwaitTurn();
    if (graph_ != nullptr) {
      CALL(cuGraphLaunch, graph_, stream);
    } else {
      void* params[] = {&spin_ns_};
      CALL(cuLaunchKernel, spin_, blocks_, 1, 1, 1024, 1, 1, 0, stream, params, nullptr);
    }
    CALL(cuEventRecord, slot, stream);
    ++launched_;
    const bool burst_ends = launched_ % o_.burst == 0;
    if (o_.mode == "sync" || (o_.think_us > 0 && burst_ends)) CALL(cuStreamSynchronize, stream);
    if (o_.think_us > 0 && burst_ends) usleep(static_cast<useconds_t>(o_.think_us));
  }

  /// As a CPU that prepares the next launch: it is busy meanwhile.
  void AwaitTurn() {
    double now = Now();
    while (now < launched_at_ + 1e-6 * o_.launch_us) now = Now();
    launched_at_ = now;
  }

  /// Until `end`; returns how many kernels have ended.
  std::size_t RunUntil(double end) {
    const std::size_t before = launched_;
    while (Now() < end) One();
    for (CUstream stream : streams_) CALL(cuStreamSynchronize, stream);
    return (launched_ - before) * static_cast<std::size_t>(PerLaunch());
  }

  struct Burst {
    double took_us = 0;
    double begin = 0;
    bool operator<(const Burst& other) const { return took_us < other.took_us; }
  };
  /// One burst each period until `end`; how long each took, sorted.
  std::vector<Burst> RunEachPeriod(double end) {
    std::vector<Burst> took;
    double last_end = 0;
    for (double at = Now(); at < end; at += 1e-6 * o_.period_us) {
      const bool late = last_end > at;
      while (Now() < at) usleep(20);
      const double begin = late ? at : Now();
      void* params[] = {&spin_ns_};
      for (unsigned i = 0; i < o_.burst; ++i) {
        CALL(cuLaunchKernel, spin_, blocks_, 1, 1, 1024, 1, 1, 0, streams_[0], params, nullptr);
      }
      CALL(cuStreamSynchronize, streams_[0]);
      last_end = Now();
      took.push_back({.took_us = 1e6 * (last_end - begin), .begin = begin});
    }
    std::sort(took.begin(), took.end());
    return took;
  }

  /// The length of a kernel among others, by the GPU's own clock.
  double MeasureNs() {
    const int count = o_.kernel_us > 10'000 ? 4 : 40;
    CUevent from, to;
    CALL(cuEventCreate, &from, CU_EVENT_DEFAULT);
    CALL(cuEventCreate, &to, CU_EVENT_DEFAULT);
    float ms = 0;
    for (int pass = 0; pass < 2; ++pass) {  // the first warms the GPU up
      CALL(cuEventRecord, from, streams_[0]);
      for (int i = 0; i < count; ++i) {
        void* params[] = {&spin_ns_};
        CALL(cuLaunchKernel, spin_, blocks_, 1, 1, 1024, 1, 1, 0, streams_[0], params, nullptr);
      }
      CALL(cuEventRecord, to, streams_[0]);
      CALL(cuEventSynchronize, to);
      CALL(cuEventElapsedTime, &ms, from, to);
    }
    return static_cast<double>(ms) * 1e6 / count;
  }

 private:
  void MakeGraph() {
    CUgraph graph = nullptr;
    CALL(cuGraphCreate, &graph, 0);
    CUgraphNode last = nullptr;
    for (int i = 0; i < kGraphKernels; ++i) {
      void* params[] = {&spin_ns_};
      CUDA_KERNEL_NODE_PARAMS node{};
      node.func = spin_;
      node.gridDimX = blocks_;
      node.blockDimX = 1024;
      node.gridDimY = node.gridDimZ = node.blockDimY = node.blockDimZ = 1;
      node.kernelParams = params;
      CUgraphNode added = nullptr;
      CALL(cuGraphAddKernelNode_v2, &added, graph, i == 0 ? nullptr : &last, i == 0 ? 0 : 1, &node);
      last = added;
    }
    CALL(cuGraphInstantiateWithFlags, &graph_, graph, 0);
  }

  const Options& o_;
  const CUfunction spin_;
  const unsigned blocks_;
  unsigned long long spin_ns_ = 0;
  std::vector<CUstream> streams_;
  std::vector<CUevent> ahead_;
  CUgraphExec graph_ = nullptr;
  std::size_t launched_ = 0;
  double launched_at_ = 0;
};

void SleepUntil(double unix_seconds) {
  while (Now(CLOCK_REALTIME) < unix_seconds) usleep(200);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  Load();
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction spin = nullptr;
  int processors = 0;
  CALL(cuInit, 0);
  CALL(cuDevicePrimaryCtxRetain, &context, 0);
  CALL(cuCtxSetCurrent, context);
  CALL(cuDeviceGetAttribute, &processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0);
  CALL(cuModuleLoadData, &module, tessera::sim::gpu::kKernelsPtx);
  CALL(cuModuleGetFunction, &spin, module, "spin");
  // Two blocks of 1024 threads fill a multiprocessor, so no two kernels run at the same time.
  const unsigned blocks =
      options.blocks != 0 ? options.blocks : options.waves * static_cast<unsigned>(2 * processors);

  double measured = 0;
  if (options.kernel_ns == 0) measured = Worker(options, context, spin, blocks).MeasureNs();
  const double kernel_ns = options.kernel_ns == 0 ? measured : options.kernel_ns;
  Worker(options, context, spin, blocks).One();
  CALL(cuCtxSynchronize);
  if (options.start_at > 0) SleepUntil(options.start_at);

  const double start = Now();
  if (options.period_us > 0) {
    const auto took = Worker(options, context, spin, blocks).RunEachPeriod(start + options.seconds);
    printf("p50_us=%.0f p99_us=%.0f most_us=%.0f most_at_s=%.2f kernels=%zu\n",
           took[took.size() / 2].took_us, took[took.size() * 99 / 100].took_us, took.back().took_us,
           took.back().begin - start, took.size());
    return 0;
  }
  std::atomic<std::size_t> kernels = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < options.threads; ++i) {
    threads.emplace_back([&] {
      kernels += Worker(options, context, spin, blocks).RunUntil(start + options.seconds);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double wall = Now() - start;
  printf("share=%.2f kernels=%zu kernel_ns=%.0f wall_s=%.3f measured_ns=%.0f blocks=%u\n",
         100 * static_cast<double>(kernels) * kernel_ns * 1e-9 / wall, kernels.load(), kernel_ns,
         wall, measured, blocks);
  return 0;
}
