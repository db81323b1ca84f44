// What the library adds to a call. The program runs itself twice over the same cases: bare, and
// with libtessera.so preloaded; the driver is the simulated one with TESSERA_SIM_NOOP, whose calls
// do next to nothing, so that the difference is the library's. In the end it says what the library
// takes of a process's memory.
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "common/abi/cuda.h"

namespace {

constexpr std::size_t kBytes = 1 << 20;
constexpr std::size_t kLive = 20'000;
constexpr char kOnlyInit[] = "--only-init";
constexpr char kUuid[] = "GPU-aaaaaaaa-0000-0000-0000-000000000000";

CUcontext context = nullptr;

void MallocFree(benchmark::State& state) {
  cuCtxSetCurrent(context);
  for (auto _ : state) {
    CUdeviceptr ptr = 0;
    if (cuMemAlloc_v2(&ptr, kBytes) != CUDA_SUCCESS) state.SkipWithError("refused");
    cuMemFree_v2(ptr);
  }
}

void MallocFreeAsync(benchmark::State& state) {
  for (auto _ : state) {
    CUdeviceptr ptr = 0;
    if (cuMemAllocAsync(&ptr, kBytes, nullptr) != CUDA_SUCCESS) state.SkipWithError("refused");
    cuMemFreeAsync(ptr, nullptr);
  }
}

void MemGetInfo(benchmark::State& state) {
  std::size_t free = 0, total = 0;
  for (auto _ : state) benchmark::DoNotOptimize(cuMemGetInfo_v2(&free, &total));
}

void GetProcAddressUnhooked(benchmark::State& state) {
  void* found = nullptr;
  CUdriverProcAddressQueryResult status{};
  for (auto _ : state) {
    benchmark::DoNotOptimize(cuGetProcAddress_v2("cuStreamCreate", &found, 12000, 0, &status));
  }
}

void Dlsym(benchmark::State& state) {
  void* const driver = dlopen("libcuda.so.1", RTLD_LAZY);
  for (auto _ : state) benchmark::DoNotOptimize(dlsym(driver, "cuStreamCreate"));
}

CUfunction Kernel() {
  static const char kModule[] =
      ".version 6.0\n.target sm_52\n.address_size 64\n.visible .entry nothing()\n{\n  ret;\n}\n";
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  cuModuleLoadData(&module, kModule);
  cuModuleGetFunction(&kernel, module, "nothing");
  return kernel;
}

void Launch(benchmark::State& state) {
  static const CUfunction kernel = Kernel();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  }
}

/// 20 000 calls of one kind between two looks at the clock, which so cost nothing.
template <typename Prepare, typename Call, typename Clean>
void InBatches(benchmark::State& state, Prepare prepare, Call call, Clean clean) {
  while (state.KeepRunningBatch(kLive)) {
    state.PauseTiming();
    prepare();
    state.ResumeTiming();
    call();
    state.PauseTiming();
    clean();
    state.ResumeTiming();
  }
}

std::vector<CUdeviceptr> live(kLive);

void AllocateAll() {
  for (CUdeviceptr& ptr : live) cuMemAlloc_v2(&ptr, 512);
}
/// The newest allocation is the worst one for a list.
void FreeNewestFirst() {
  for (std::size_t i = kLive; i > 0; --i) cuMemFree_v2(live[i - 1]);
}
void Nothing() {}

void MallocUpTo20000(benchmark::State& state) {
  InBatches(state, Nothing, AllocateAll, FreeNewestFirst);
}
void FreeNewestOf20000(benchmark::State& state) {
  InBatches(state, AllocateAll, FreeNewestFirst, Nothing);
}

/// A process from its start until cuInit has returned: what it used of a CPU, exec and ld.so's work
/// included, as manual time.
void StartUntilCuInit(benchmark::State& state) {
  for (auto _ : state) {
    int ends[2];
    if (pipe(ends) != 0) break;
    const pid_t pid = vfork();
    if (pid == 0) {
      dup2(ends[1], STDOUT_FILENO);
      execl("/proc/self/exe", "bench_interceptor", kOnlyInit, nullptr);
      _exit(127);
    }
    double seconds = 0;
    [[maybe_unused]] const ssize_t got = read(ends[0], &seconds, sizeof(seconds));
    close(ends[0]);
    close(ends[1]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0) state.SkipWithError("cuInit failed");
    state.SetIterationTime(seconds);
  }
}

int TellInitTime() {
  const CUresult result = cuInit(0);
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  const double seconds =
      static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
  const bool told = write(STDOUT_FILENO, &seconds, sizeof(seconds)) == sizeof(seconds);
  return result == CUDA_SUCCESS && told ? 0 : 1;
}

/// KiB of this process's mappings of the file whose name ends so, by the kernel's own count.
struct Footprint {
  long size = 0, resident = 0, proportional = 0, own = 0;
};
Footprint FootprintOf(std::string_view ending) {
  std::ifstream maps("/proc/self/smaps");
  Footprint sum;
  bool counts = false;
  for (std::string line; std::getline(maps, line);) {
    const bool is_mapping = line.find('-') < line.find(' ');
    if (is_mapping) counts = line.ends_with(ending);
    if (!counts || is_mapping) continue;
    const auto add = [&](std::string_view name, long& to) {
      if (line.starts_with(name)) to += std::atol(line.c_str() + name.size());
    };
    add("Size:", sum.size);
    add("Rss:", sum.resident);
    add("Pss:", sum.proportional);
    add("Private_Dirty:", sum.own);
  }
  return sum;
}

void TellMemory() {
  for (const std::string_view file : {"/libtessera.so", "/region"}) {
    const Footprint memory = FootprintOf(file);
    printf("memory of %s: mapped %ld KiB, resident %ld, proportional %ld, private %ld\n",
           std::string(file.substr(1)).c_str(), memory.size, memory.resident, memory.proportional,
           memory.own);
  }
}

void Register(const char* suffix) {
  const auto name = [&](const char* what) { return std::string(what) + "/" + suffix; };
  benchmark::RegisterBenchmark(name("malloc_free").c_str(), MallocFree);
  benchmark::RegisterBenchmark(name("malloc_free_4_threads").c_str(), MallocFree)->Threads(4);
  benchmark::RegisterBenchmark(name("malloc_free_async").c_str(), MallocFreeAsync);
  benchmark::RegisterBenchmark(name("mem_get_info").c_str(), MemGetInfo);
  benchmark::RegisterBenchmark(name("get_proc_address_unhooked").c_str(), GetProcAddressUnhooked);
  benchmark::RegisterBenchmark(name("dlsym_unhooked").c_str(), Dlsym);
  benchmark::RegisterBenchmark(name("launch").c_str(), Launch);
  benchmark::RegisterBenchmark(name("launch_2_threads").c_str(), Launch)->Threads(2);
  benchmark::RegisterBenchmark(name("malloc_up_to_20000").c_str(), MallocUpTo20000);
  benchmark::RegisterBenchmark(name("free_newest_of_20000").c_str(), FreeNewestOf20000);
  benchmark::RegisterBenchmark(name("process_start_until_cu_init").c_str(), StartUntilCuInit)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

bool Start() {
  CUdevice device = 0;
  return cuInit(0) == CUDA_SUCCESS && cuDeviceGet(&device, 0) == CUDA_SUCCESS &&
         cuDevicePrimaryCtxRetain(&context, device) == CUDA_SUCCESS &&
         cuCtxSetCurrent(context) == CUDA_SUCCESS;
}

/// Folders and variables of a container, below one temporary folder.
std::string SetUpContainer() {
  std::string folder = "/tmp/bench-tessera-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return {};
  const std::string gpus = folder + "/gpus";
  if (FILE* file = fopen(gpus.c_str(), "w")) {
    fprintf(file, "gpu uuid=%s memory_mib=65536\n", kUuid);
    fclose(file);
  }
  setenv("TESSERA_SIM_GPUS", gpus.c_str(), 1);
  setenv("TESSERA_SIM_STATE", folder.c_str(), 1);
  setenv("TESSERA_SIM_NOOP", "1", 1);
  setenv("TESSERA_REGION_DIR", folder.c_str(), 1);
  const std::string limits = folder + "/limits";
  if (FILE* file = fopen(limits.c_str(), "w")) {
    fprintf(file, "v1 fixed-share %s:32768:100", kUuid);
    fclose(file);
  }
  setenv("TESSERA_LIMITS_FILE", limits.c_str(), 1);
  return folder;
}

/// Bare first, then preloaded; each writes its own JSON, which tools/run_benchmarks keeps side by
/// side.
int RunBoth(int argc, char** argv) {
  const std::string folder = SetUpContainer();
  int failed = folder.empty() ? 1 : 0;
  for (const char* variant : {"bare", "preloaded"}) {
    const pid_t pid = fork();
    if (pid == 0) {
      setenv("BENCH_INTERCEPTOR_VARIANT", variant, 1);
      if (strcmp(variant, "preloaded") == 0) setenv("LD_PRELOAD", TESSERA_LIBRARY, 1);
      std::vector<std::string> texts(argv, argv + argc);
      std::vector<char*> args;
      for (std::string& text : texts) {
        const bool is_out = text.starts_with("--benchmark_out=") && text.ends_with(".json");
        if (is_out && strcmp(variant, "bare") == 0) text.insert(text.size() - 5, "_bare");
        args.push_back(text.data());
      }
      args.push_back(nullptr);
      execv("/proc/self/exe", args.data());
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    failed |= status;
  }
  if (!folder.empty()) {
    for (const char* name : {"/gpus", "/region"}) unlink((folder + name).c_str());
    [[maybe_unused]] const int left = system(("rm -rf '" + folder + "'").c_str());
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], kOnlyInit) == 0) return TellInitTime();
  const char* const variant = getenv("BENCH_INTERCEPTOR_VARIANT");
  if (variant == nullptr) return RunBoth(argc, argv);
  if (!Start()) {
    fprintf(stderr, "no simulated GPU\n");
    return 1;
  }
  Register(variant);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  if (strcmp(variant, "preloaded") == 0) TellMemory();
  return 0;
}
