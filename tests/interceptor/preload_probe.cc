// A CUDA program that reaches the driver by one way in and does what stdin tells it, one command a
// line, one answer a line: the driver's result code, then numbers. `preload_probe ROUTE`; without
// the driver linked in (PROBE_LINKED) the route "direct" does not exist. A command that changes
// errno answers with an extra "ERRNO".
#include <dlfcn.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/abi/cuda.h"
#include "common/abi/nvml.h"

namespace {

#define PROBE_FUNCTIONS(X)                                      \
  X(cuInit, "cuInit")                                           \
  X(cuDeviceGet, "cuDeviceGet")                                 \
  X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain")       \
  X(cuCtxSetCurrent, "cuCtxSetCurrent")                         \
  X(cuCtxSynchronize, "cuCtxSynchronize")                       \
  X(cuStreamCreate, "cuStreamCreate")                           \
  X(cuMemAlloc_v2, "cuMemAlloc")                                \
  X(cuMemAllocPitch_v2, "cuMemAllocPitch")                      \
  X(cuMemAllocManaged, "cuMemAllocManaged")                     \
  X(cuMemFree_v2, "cuMemFree")                                  \
  X(cuMemAllocAsync, "cuMemAllocAsync")                         \
  X(cuMemFreeAsync, "cuMemFreeAsync")                           \
  X(cuMemAllocFromPoolAsync, "cuMemAllocFromPoolAsync")         \
  X(cuDeviceGetDefaultMemPool, "cuDeviceGetDefaultMemPool")     \
  X(cuMemGetInfo_v2, "cuMemGetInfo")                            \
  X(cuDeviceTotalMem_v2, "cuDeviceTotalMem")                    \
  X(cuLaunchKernel, "cuLaunchKernel")                           \
  X(cuModuleLoadData, "cuModuleLoadData")                       \
  X(cuModuleGetFunction, "cuModuleGetFunction")                 \
  X(cuArrayCreate_v2, "cuArrayCreate")                          \
  X(cuArray3DCreate_v2, "cuArray3DCreate")                      \
  X(cuArrayDestroy, "cuArrayDestroy")                           \
  X(cuMipmappedArrayCreate, "cuMipmappedArrayCreate")           \
  X(cuMipmappedArrayDestroy, "cuMipmappedArrayDestroy")         \
  X(cuMemAddressReserve, "cuMemAddressReserve")                 \
  X(cuMemCreate, "cuMemCreate")                                 \
  X(cuMemRelease, "cuMemRelease")                               \
  X(cuMemMap, "cuMemMap")                                       \
  X(cuMemUnmap, "cuMemUnmap")                                   \
  X(cuMemRetainAllocationHandle, "cuMemRetainAllocationHandle") \
  X(cuGetProcAddress_v2, "cuGetProcAddress")

struct Api {
#define X(symbol, base) decltype(&::symbol) symbol = nullptr;
  PROBE_FUNCTIONS(X)
#undef X
};

Api api;

template <typename Function>
void Set(Function& function, void* address, const char* name) {
  if (address == nullptr) std::cerr << "no " << name << "\n";
  function = reinterpret_cast<Function>(address);
}

bool Load(const std::string& route) {
#ifdef PROBE_LINKED
  if (route == "direct") {
#define X(symbol, base) api.symbol = &::symbol;
    PROBE_FUNCTIONS(X)
#undef X
    return true;
  }
#endif
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return false;
  if (route == "dlsym") {
#define X(symbol, base) Set(api.symbol, dlsym(driver, #symbol), #symbol);
    PROBE_FUNCTIONS(X)
#undef X
    return true;
  }
  if (route == "proc1") {
    const auto find =
        reinterpret_cast<decltype(&::cuGetProcAddress)>(dlsym(driver, "cuGetProcAddress"));
    void* found = nullptr;
#define X(symbol, base)                                                          \
  if (find(base, &found, 11080, CU_GET_PROC_ADDRESS_DEFAULT) != 0) return false; \
  Set(api.symbol, found, base);
    PROBE_FUNCTIONS(X)
#undef X
    Set(api.cuGetProcAddress_v2, dlsym(driver, "cuGetProcAddress_v2"), "cuGetProcAddress_v2");
    return true;
  }
  const auto find =
      reinterpret_cast<decltype(&::cuGetProcAddress_v2)>(dlsym(driver, "cuGetProcAddress_v2"));
  // What the driver's own lookup answers for itself, as the CUDA runtime asks.
  void* found = nullptr;
  const cuuint64_t flags = route == "proc2-perthread"
                               ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
                               : CU_GET_PROC_ADDRESS_DEFAULT;
  CUdriverProcAddressQueryResult status{};
#define X(symbol, base)                                                            \
  if (find(base, &found, 12000, flags, &status) != 0 || status != 0) return false; \
  Set(api.symbol, found, base);
  PROBE_FUNCTIONS(X)
#undef X
  return true;
}

std::vector<CUdeviceptr> held;
std::vector<CUstream> streams;
CUcontext context = nullptr;
CUfunction kernel = nullptr;

using Args = std::vector<std::uint64_t>;
using Words = std::vector<std::string>;

std::uint64_t Number(const Words& words, std::size_t at) {
  return at < words.size() ? std::stoull(words[at]) : 0;
}

/// By reference: the call that sets `ptr` may be evaluated after it.
std::string Keep(CUresult result, const CUdeviceptr& ptr) {
  if (result == CUDA_SUCCESS) held.push_back(ptr);
  return std::to_string(result);
}

CUdeviceptr Last() {
  const CUdeviceptr ptr = held.empty() ? 0 : held.back();
  if (!held.empty()) held.pop_back();
  return ptr;
}

std::string Fill(std::uint64_t bytes) {
  std::uint64_t got = 0;
  CUresult result = CUDA_SUCCESS;
  for (;;) {
    CUdeviceptr ptr = 0;
    result = api.cuMemAlloc_v2(&ptr, bytes);
    if (result != CUDA_SUCCESS) break;
    held.push_back(ptr);
    got += bytes;
  }
  return std::to_string(result) + " " + std::to_string(got);
}

/// From the pool of any GPU, whatever context is current.
std::string FillFromPool(CUdevice device, std::uint64_t bytes) {
  CUmemoryPool pool = nullptr;
  api.cuDeviceGetDefaultMemPool(&pool, device);
  std::uint64_t got = 0;
  CUdeviceptr ptr = 0;
  CUresult result = CUDA_SUCCESS;
  while ((result = api.cuMemAllocFromPoolAsync(&ptr, bytes, pool, nullptr)) == CUDA_SUCCESS) {
    held.push_back(ptr);
    got += bytes;
  }
  return std::to_string(result) + " " + std::to_string(got);
}

std::string FillByThreads(std::uint64_t count, std::uint64_t bytes) {
  std::atomic<std::uint64_t> got = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      api.cuCtxSetCurrent(context);
      for (CUdeviceptr ptr = 0; api.cuMemAlloc_v2(&ptr, bytes) == CUDA_SUCCESS;) got += bytes;
    });
  }
  for (auto& thread : threads) thread.join();
  return "0 " + std::to_string(got);
}

/// Frees everything from another thread, with another GPU's context current if there is another
/// GPU.
std::string FreeAllElsewhere() {
  int failed = 0;
  std::thread([&] {
    CUdevice device = 0;
    CUcontext other = context;
    if (api.cuDeviceGet(&device, 1) == CUDA_SUCCESS) api.cuDevicePrimaryCtxRetain(&other, device);
    api.cuCtxSetCurrent(other);
    for (const CUdeviceptr ptr : held) failed += api.cuMemFree_v2(ptr) != CUDA_SUCCESS ? 1 : 0;
  }).join();
  held.clear();
  return std::to_string(failed);
}

std::string Info() {
  std::size_t free = 0, total = 0;
  const CUresult result = api.cuMemGetInfo_v2(&free, &total);
  return std::to_string(result) + " " + std::to_string(free) + " " + std::to_string(total);
}

std::string Context(int ordinal) {
  CUdevice device = 0;
  CUresult result = api.cuDeviceGet(&device, ordinal);
  if (result == CUDA_SUCCESS) result = api.cuDevicePrimaryCtxRetain(&context, device);
  if (result == CUDA_SUCCESS) result = api.cuCtxSetCurrent(context);
  return std::to_string(result);
}

std::string Pitch(std::uint64_t width, std::uint64_t height) {
  CUdeviceptr ptr = 0;
  std::size_t pitch = 0;
  const CUresult result = api.cuMemAllocPitch_v2(&ptr, &pitch, width, height, 4);
  return Keep(result, ptr) + " " + std::to_string(pitch * height);
}

std::string Launch(std::uint64_t times) {
  static const char kModule[] =
      ".version 6.0\n.target sm_52\n.address_size 64\n.visible .entry nothing()\n{\n  ret;\n}\n";
  CUmodule module = nullptr;
  CUresult result = CUDA_SUCCESS;
  if (kernel == nullptr) result = api.cuModuleLoadData(&module, kModule);
  if (kernel == nullptr && result == 0)
    result = api.cuModuleGetFunction(&kernel, module, "nothing");
  for (std::uint64_t i = 0; i < times && result == CUDA_SUCCESS; ++i) {
    result = api.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
  }
  if (result == CUDA_SUCCESS) result = api.cuCtxSynchronize();
  return std::to_string(result);
}

std::vector<CUmemGenericAllocationHandle> handles;
std::vector<CUarray> arrays;
CUmipmappedArray mipmapped = nullptr;
CUdeviceptr reserved = 0;

std::string Create(std::uint64_t bytes, CUmemLocationType where) {
  CUmemAllocationProp prop = {};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {where, 0};
  CUmemGenericAllocationHandle handle = 0;
  const CUresult result = api.cuMemCreate(&handle, bytes, &prop, 0);
  if (result == CUDA_SUCCESS) handles.push_back(handle);
  return std::to_string(result);
}

/// Maps the newest handle at `offset` of one big range of addresses.
std::string Map(std::uint64_t bytes, std::uint64_t offset) {
  CUresult result = CUDA_SUCCESS;
  if (reserved == 0) result = api.cuMemAddressReserve(&reserved, 1 << 30, 0, 0, 0);
  if (result == CUDA_SUCCESS) result = api.cuMemMap(reserved + offset, bytes, 0, handles.back(), 0);
  return std::to_string(result);
}

std::string Release() {
  const CUresult result = api.cuMemRelease(handles.back());
  if (result == CUDA_SUCCESS) handles.pop_back();
  return std::to_string(result);
}

std::string Retain() {
  CUmemGenericAllocationHandle handle = 0;
  const CUresult result =
      api.cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(reserved));
  if (result == CUDA_SUCCESS) handles.push_back(handle);
  return std::to_string(result);
}

std::string MakeArray(std::size_t width, std::size_t height, std::size_t depth) {
  CUarray array = nullptr;
  const CUDA_ARRAY_DESCRIPTOR flat = {width, height, CU_AD_FORMAT_FLOAT, 1};
  const CUDA_ARRAY3D_DESCRIPTOR solid = {width, height, depth, CU_AD_FORMAT_FLOAT, 1, 0};
  const CUresult result =
      depth == 0 ? api.cuArrayCreate_v2(&array, &flat) : api.cuArray3DCreate_v2(&array, &solid);
  if (result == CUDA_SUCCESS) arrays.push_back(array);
  return std::to_string(result);
}

std::string FreeArray() {
  const CUresult result = api.cuArrayDestroy(arrays.back());
  if (result == CUDA_SUCCESS) arrays.pop_back();
  return std::to_string(result);
}

std::string MakeMipmapped(std::size_t width, std::size_t height) {
  const CUDA_ARRAY3D_DESCRIPTOR descriptor = {width, height, 0, CU_AD_FORMAT_FLOAT, 1, 0};
  return std::to_string(api.cuMipmappedArrayCreate(&mipmapped, &descriptor, 2));
}

/// The answers to null where values belong; the same with and without the library.
std::string Nulls() {
  std::ostringstream out;
  std::size_t free = 7, total = 7, pitch = 7;
  CUdeviceptr ptr = 0;
  void* found = nullptr;
  CUdriverProcAddressQueryResult status{};
  out << api.cuMemAlloc_v2(nullptr, 100) << ' ' << api.cuMemAlloc_v2(&ptr, 0) << ' '
      << api.cuMemAllocPitch_v2(nullptr, &pitch, 16, 16, 4) << ' '
      << api.cuMemAllocPitch_v2(&ptr, nullptr, 16, 16, 4) << ' '
      << api.cuMemAllocManaged(nullptr, 100, 1) << ' ' << api.cuMemAllocAsync(nullptr, 100, nullptr)
      << ' ' << api.cuMemGetInfo_v2(nullptr, nullptr) << ' ' << api.cuMemGetInfo_v2(&free, nullptr)
      << ' ' << api.cuMemGetInfo_v2(nullptr, &total) << ' ' << api.cuDeviceTotalMem_v2(nullptr, 0)
      << ' ' << api.cuArrayCreate_v2(nullptr, nullptr) << ' '
      << api.cuMemCreate(nullptr, 1, nullptr, 0) << ' '
      << api.cuMipmappedArrayCreate(nullptr, nullptr, 1) << ' ' << api.cuMemRelease(0) << ' '
      << api.cuMemUnmap(0, 0) << ' ' << api.cuMemMap(0, 0, 0, 0, 0) << ' '
      << api.cuMemRetainAllocationHandle(nullptr, nullptr) << ' ' << api.cuArrayDestroy(nullptr)
      << ' ' << api.cuGetProcAddress_v2(nullptr, &found, 12000, 0, &status) << ' '
      << api.cuGetProcAddress_v2("cuMemAlloc", nullptr, 12000, 0, &status) << ' '
      << api.cuGetProcAddress_v2("cuMemAlloc", &found, 12000, 0, nullptr) << ' '
      << api.cuGetProcAddress_v2("cuNoSuchThing", &found, 12000, 0, &status) << ' ' << status << ' '
      << api.cuGetProcAddress_v2("cuMemAllocAsync", &found, 10000, 0, &status) << ' ' << status
      << ' ' << api.cuGetProcAddress_v2("cuMemAlloc", &found, 12000, 99, &status) << ' '
      << api.cuMemFree_v2(0) << ' ' << api.cuMemFree_v2(0x1234) << ' '
      << api.cuMemFreeAsync(0x1234, nullptr);
  return out.str();
}

std::string NvmlInfo(unsigned int index) {
  void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  if (library == nullptr) return "no NVML";
  const auto get = [&](const char* name) { return dlsym(library, name); };
  nvmlDevice_t device = nullptr;
  nvmlMemory_t v1 = {};
  nvmlMemory_v2_t v2 = {};
  v2.version = nvmlMemory_v2;
  reinterpret_cast<decltype(&::nvmlInit_v2)>(get("nvmlInit_v2"))();
  reinterpret_cast<decltype(&::nvmlDeviceGetHandleByIndex_v2)>(
      get("nvmlDeviceGetHandleByIndex_v2"))(index, &device);
  const auto one =
      reinterpret_cast<decltype(&::nvmlDeviceGetMemoryInfo)>(get("nvmlDeviceGetMemoryInfo"));
  const auto two =
      reinterpret_cast<decltype(&::nvmlDeviceGetMemoryInfo_v2)>(get("nvmlDeviceGetMemoryInfo_v2"));
  const int first = one(device, &v1);
  const int second = two(device, &v2);
  const int null = one(device, nullptr);
  std::ostringstream out;
  out << first << ' ' << v1.total << ' ' << v1.used << ' ' << v1.free << ' ' << second << ' '
      << v2.total << ' ' << v2.used << ' ' << v2.free << ' '
      << (null == 0 ? "null taken" : "null refused");
  return out.str();
}

/// Runs the rest of the line in a forked child and answers with what it answered.
std::string InChild(const std::string& command);

std::string Run(const std::string& line) {
  std::istringstream in(line);
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  const std::string& name = words.at(0);
  const std::uint64_t n = words.size() > 1 && isdigit(words[1][0]) ? Number(words, 1) : 0;
  CUdeviceptr ptr = 0;
  if (name == "fork") return InChild(line.substr(5));
  if (name == "init") return std::to_string(api.cuInit(0));
  if (name == "ctx") return Context(static_cast<int>(n));
  if (name == "info") return Info();
  if (name == "total") {
    std::size_t total = 0;
    const CUresult result = api.cuDeviceTotalMem_v2(&total, static_cast<CUdevice>(n));
    return std::to_string(result) + " " + std::to_string(total);
  }
  if (name == "alloc") return Keep(api.cuMemAlloc_v2(&ptr, n), ptr);
  if (name == "managed") return Keep(api.cuMemAllocManaged(&ptr, n, CU_MEM_ATTACH_GLOBAL), ptr);
  if (name == "async") return Keep(api.cuMemAllocAsync(&ptr, n, nullptr), ptr);
  if (name == "stream") {
    streams.push_back(nullptr);
    return std::to_string(api.cuStreamCreate(&streams.back(), 0));
  }
  if (name == "streamalloc") return Keep(api.cuMemAllocAsync(&ptr, n, streams.back()), ptr);
  if (name == "pool") {
    CUmemoryPool pool = nullptr;
    api.cuDeviceGetDefaultMemPool(&pool, 0);
    return Keep(api.cuMemAllocFromPoolAsync(&ptr, n, pool, nullptr), ptr);
  }
  if (name == "fillpool") return FillFromPool(static_cast<CUdevice>(n), Number(words, 2));
  if (name == "pitch") return Pitch(n, Number(words, 2));
  if (name == "fill") return Fill(n);
  if (name == "threads") return FillByThreads(n, Number(words, 2));
  if (name == "free") return std::to_string(api.cuMemFree_v2(Last()));
  if (name == "freeasync") return std::to_string(api.cuMemFreeAsync(Last(), nullptr));
  if (name == "freetwice") {
    const CUdeviceptr last = Last();
    api.cuMemFree_v2(last);
    return std::to_string(api.cuMemFree_v2(last));
  }
  if (name == "freeall") return FreeAllElsewhere();
  if (name == "create") return Create(n, CU_MEM_LOCATION_TYPE_DEVICE);
  if (name == "createhost") return Create(n, CU_MEM_LOCATION_TYPE_HOST);
  if (name == "map") return Map(n, Number(words, 2));
  if (name == "unmap") return std::to_string(api.cuMemUnmap(reserved + Number(words, 2), n));
  if (name == "release") return Release();
  if (name == "retain") return Retain();
  if (name == "array") return MakeArray(n, Number(words, 2), Number(words, 3));
  if (name == "freearray") return FreeArray();
  if (name == "mipmapped") return MakeMipmapped(n, Number(words, 2));
  if (name == "freemipmapped") return std::to_string(api.cuMipmappedArrayDestroy(mipmapped));
  if (name == "launch") return Launch(n);
  if (name == "nulls") return Nulls();
  if (name == "nvml") return NvmlInfo(static_cast<unsigned int>(n));
  if (name == "next") return dlsym(RTLD_NEXT, words[1].c_str()) != nullptr ? "found" : "none";
  if (name == "default") return dlsym(RTLD_DEFAULT, words[1].c_str()) != nullptr ? "found" : "none";
  if (name == "dlerror") {
    const char* error = dlerror();
    return error == nullptr ? "none" : error;
  }
  if (name == "dlvsym") {
    void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return dlvsym(driver, words[1].c_str(), words[2].c_str()) != nullptr ? "found" : "none";
  }
  if (name == "calls") {
    const auto* calls = static_cast<const int*>(dlsym(RTLD_DEFAULT, words[1].c_str()));
    return calls == nullptr ? "none" : std::to_string(*calls);
  }
  return "unknown command";
}

std::string InChild(const std::string& command) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t pid = fork();
  if (pid == 0) {
    std::string answers;
    std::istringstream commands(command);
    for (std::string one; std::getline(commands, one, ';');) answers += Run(one) + ";";
    [[maybe_unused]] const ssize_t written = write(ends[1], answers.data(), answers.size());
    _exit(0);
  }
  close(ends[1]);
  char text[512];
  const ssize_t size = read(ends[0], text, sizeof(text));
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status)) return "child died";
  return std::string(text, size > 0 ? static_cast<std::size_t>(size) : 0);
}

/// Commands that call nothing but hooked functions: the library keeps errno whatever the driver
/// does to it.
bool OnlyHooked(const std::string& line) {
  for (const char* name :
       {"init", "info", "total", "alloc", "managed", "async", "pitch", "fill", "free"}) {
    if (line == name || line.starts_with(std::string(name) + " ")) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string route = argc > 1 ? argv[1] : "direct";
  if (!Load(route)) {
    std::cout << "no driver by " << route << std::endl;
    return 2;
  }
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    errno = 4711;
    std::string answer = Run(line);
    if (errno != 4711 && OnlyHooked(line)) answer += " ERRNO";
    std::cout << answer << std::endl;
  }
  return 0;
}
