// One path by which a program takes device memory: holds as much as it gets, up to the bytes that
// it is told, says what it got, gives it back and asks once more. `paths CASE BYTES
// [symbols|table]`; `paths` alone lists the cases. Needs no CUDA toolkit: the driver is opened when
// it runs, and its functions are found by dlsym or by cuGetProcAddress. Prints "held BYTES ERROR",
// waits for a line, frees, prints "again ERROR".
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/abi/cuda_green.h"
#include "common/abi/cuda_more.h"
#include "common/abi/cuda_share.h"

namespace {

#define PATHS_FUNCTIONS(X)                                        \
  X(cuInit, "cuInit")                                             \
  X(cuDeviceGet, "cuDeviceGet")                                   \
  X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain")         \
  X(cuCtxSetCurrent, "cuCtxSetCurrent")                           \
  X(cuCtxSynchronize, "cuCtxSynchronize")                         \
  X(cuCtxCreate_v2, "cuCtxCreate")                                \
  X(cuCtxDestroy_v2, "cuCtxDestroy")                              \
  X(cuMemAlloc_v2, "cuMemAlloc")                                  \
  X(cuMemAllocPitch_v2, "cuMemAllocPitch")                        \
  X(cuMemAllocManaged, "cuMemAllocManaged")                       \
  X(cuMemsetD8_v2, "cuMemsetD8")                                  \
  X(cuMemFree_v2, "cuMemFree")                                    \
  X(cuArrayCreate_v2, "cuArrayCreate")                            \
  X(cuArray3DCreate_v2, "cuArray3DCreate")                        \
  X(cuArrayDestroy, "cuArrayDestroy")                             \
  X(cuMipmappedArrayCreate, "cuMipmappedArrayCreate")             \
  X(cuMipmappedArrayDestroy, "cuMipmappedArrayDestroy")           \
  X(cuMemAllocAsync, "cuMemAllocAsync")                           \
  X(cuMemAllocFromPoolAsync, "cuMemAllocFromPoolAsync")           \
  X(cuMemFreeAsync, "cuMemFreeAsync")                             \
  X(cuMemPoolCreate, "cuMemPoolCreate")                           \
  X(cuMemPoolTrimTo, "cuMemPoolTrimTo")                           \
  X(cuDeviceGetDefaultMemPool, "cuDeviceGetDefaultMemPool")       \
  X(cuMemCreate, "cuMemCreate")                                   \
  X(cuMemRelease, "cuMemRelease")                                 \
  X(cuMemAddressReserve, "cuMemAddressReserve")                   \
  X(cuMemMap, "cuMemMap")                                         \
  X(cuMemUnmap, "cuMemUnmap")                                     \
  X(cuMemExportToShareableHandle, "cuMemExportToShareableHandle") \
  X(cuStreamCreate, "cuStreamCreate")                             \
  X(cuStreamBeginCapture_v2, "cuStreamBeginCapture")              \
  X(cuStreamEndCapture, "cuStreamEndCapture")                     \
  X(cuGraphCreate, "cuGraphCreate")                               \
  X(cuGraphAddMemAllocNode, "cuGraphAddMemAllocNode")             \
  X(cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags")   \
  X(cuGraphLaunch, "cuGraphLaunch")                               \
  X(cuDeviceGraphMemTrim, "cuDeviceGraphMemTrim")                 \
  X(cuModuleLoadData, "cuModuleLoadData")                         \
  X(cuModuleUnload, "cuModuleUnload")                             \
  X(cuCtxGetLimit, "cuCtxGetLimit")                               \
  X(cuCtxSetLimit, "cuCtxSetLimit")                               \
  X(cuDeviceGetDevResource, "cuDeviceGetDevResource")             \
  X(cuDevSmResourceSplitByCount, "cuDevSmResourceSplitByCount")   \
  X(cuDevResourceGenerateDesc, "cuDevResourceGenerateDesc")       \
  X(cuGreenCtxCreate, "cuGreenCtxCreate")                         \
  X(cuGreenCtxDestroy, "cuGreenCtxDestroy")                       \
  X(cuCtxFromGreenCtx, "cuCtxFromGreenCtx")

struct Api {
#define X(symbol, base) decltype(&::symbol) symbol = nullptr;
  PATHS_FUNCTIONS(X)
#undef X
};
Api api;

bool Load(bool by_table) {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return false;
  const auto find =
      reinterpret_cast<decltype(&::cuGetProcAddress_v2)>(dlsym(driver, "cuGetProcAddress_v2"));
  CUdriverProcAddressQueryResult status{};
  void* found = nullptr;
#define X(symbol, base)                                                  \
  found = nullptr;                                                       \
  if (by_table) {                                                        \
    find(base, &found, 12000, CU_GET_PROC_ADDRESS_DEFAULT, &status);     \
    /* what came later */ if (found == nullptr)                          \
      find(base, &found, 12040, CU_GET_PROC_ADDRESS_DEFAULT, &status);   \
  } else {                                                               \
    found = dlsym(driver, #symbol);                                      \
  }                                                                      \
  if (found == nullptr) fprintf(stderr, "the driver has no %s\n", base); \
  api.symbol = reinterpret_cast<decltype(&::symbol)>(found);
  PATHS_FUNCTIONS(X)
#undef X
  // By its name alone it would be a later version, with other arguments.
  api.cuCtxCreate_v2 =
      reinterpret_cast<decltype(&::cuCtxCreate_v2)>(dlsym(driver, "cuCtxCreate_v2"));
  return true;
}

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kStep = 64 * kMiB;

/// One step of a case: takes `bytes` and adds what gives them back.
using Undo = std::vector<std::function<void()>>;
struct Case {
  std::size_t step_bytes;
  std::function<CUresult(Undo&)> take;
  std::function<void()> settle = [] {};  ///< what returns memory that nobody holds any more
};

CUresult Memory(Undo& undo, CUresult result, CUdeviceptr ptr) {
  if (result == CUDA_SUCCESS) undo.push_back([ptr] { api.cuMemFree_v2(ptr); });
  return result;
}

CUresult Array(Undo& undo, std::size_t width, std::size_t height, std::size_t depth) {
  CUarray array = nullptr;
  const CUDA_ARRAY_DESCRIPTOR flat = {width, height, CU_AD_FORMAT_FLOAT, 1};
  const CUDA_ARRAY3D_DESCRIPTOR solid = {width, height, depth, CU_AD_FORMAT_FLOAT, 1, 0};
  const CUresult result =
      depth == 0 ? api.cuArrayCreate_v2(&array, &flat) : api.cuArray3DCreate_v2(&array, &solid);
  if (result == CUDA_SUCCESS) undo.push_back([array] { api.cuArrayDestroy(array); });
  return result;
}

CUresult Mipmapped(Undo& undo) {
  CUmipmappedArray array = nullptr;
  const CUDA_ARRAY3D_DESCRIPTOR descriptor = {4096, 4096, 0, CU_AD_FORMAT_FLOAT, 1, 0};
  const CUresult result = api.cuMipmappedArrayCreate(&array, &descriptor, 1);
  if (result == CUDA_SUCCESS) undo.push_back([array] { api.cuMipmappedArrayDestroy(array); });
  return result;
}

CUmemoryPool Pool(bool own) {
  CUmemoryPool pool = nullptr;
  CUmemPoolProps props = {};
  props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  if (own) api.cuMemPoolCreate(&pool, &props);
  if (!own) api.cuDeviceGetDefaultMemPool(&pool, 0);
  return pool;
}

Case FromPool(bool own) {
  const CUmemoryPool pool = Pool(own);
  const auto take = [pool, own](Undo& undo) {
    CUdeviceptr ptr = 0;
    const CUresult result = own ? api.cuMemAllocFromPoolAsync(&ptr, kStep, pool, nullptr)
                                : api.cuMemAllocAsync(&ptr, kStep, nullptr);
    if (result == CUDA_SUCCESS) undo.push_back([ptr] { api.cuMemFreeAsync(ptr, nullptr); });
    return result;
  };
  return {kStep, take, [pool] {
            api.cuCtxSynchronize();
            api.cuMemPoolTrimTo(pool, 0);
          }};
}

/// The usual order is create, map, release; `exported` releases without mapping, and keeps a file
/// descriptor.
CUresult Physical(Undo& undo, bool mapped, bool exported) {
  CUmemAllocationProp prop = {};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  if (exported) prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  CUmemGenericAllocationHandle handle = 0;
  const CUresult result = api.cuMemCreate(&handle, kStep, &prop, 0);
  if (result != CUDA_SUCCESS) return result;
  int descriptor = -1;
  if (exported) {
    api.cuMemExportToShareableHandle(&descriptor, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                     0);
    api.cuMemRelease(handle);
  } else if (mapped) {
    CUdeviceptr place = 0;
    api.cuMemAddressReserve(&place, kStep, 0, 0, 0);
    const CUresult done = api.cuMemMap(place, kStep, 0, handle, 0);
    api.cuMemRelease(handle);
    if (done != CUDA_SUCCESS) return done;
    undo.push_back([place] { api.cuMemUnmap(place, kStep); });
  } else {
    undo.push_back([handle] { api.cuMemRelease(handle); });
  }
  return CUDA_SUCCESS;
}

CUgraph AllocatingGraph(bool captured, CUstream stream, CUdeviceptr& ptr) {
  CUgraph graph = nullptr;
  if (captured) {
    api.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
    api.cuMemAllocAsync(&ptr, kStep, stream);
    api.cuStreamEndCapture(stream, &graph);
    return graph;
  }
  CUgraphNode node = nullptr;
  CUDA_MEM_ALLOC_NODE_PARAMS params = {};
  params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  params.bytesize = kStep;
  api.cuGraphCreate(&graph, 0);
  api.cuGraphAddMemAllocNode(&node, graph, nullptr, 0, &params);
  ptr = params.dptr;
  return graph;
}

Case FromGraphs(bool captured) {
  CUstream stream = nullptr;
  api.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  const auto take = [=](Undo& undo) {
    CUdeviceptr ptr = 0;
    const CUgraph graph = AllocatingGraph(captured, stream, ptr);
    CUgraphExec exec = nullptr;
    CUresult result = api.cuGraphInstantiateWithFlags(&exec, graph, 0);
    if (result == CUDA_SUCCESS) result = api.cuGraphLaunch(exec, stream);
    if (result == CUDA_SUCCESS) result = api.cuCtxSynchronize();
    return Memory(undo, result, ptr);
  };
  return {kStep, take, [] { api.cuDeviceGraphMemTrim(0); }};
}

/// Static data of a module: 64 MiB in each of them.
CUresult Module(Undo& undo) {
  static const char kCode[] =
      ".version 6.0\n.target sm_52\n.address_size 64\n"
      ".visible .global .align 4 .b8 data[67108864];\n"
      ".visible .entry nothing()\n{\n  ret;\n}\n";
  CUmodule module = nullptr;
  const CUresult result = api.cuModuleLoadData(&module, kCode);
  if (result == CUDA_SUCCESS) undo.push_back([module] { api.cuModuleUnload(module); });
  return result;
}

/// At most eight; how much each takes is not told.
CUresult Context(Undo& undo) {
  CUcontext context = nullptr;
  if (undo.size() == 8) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result = api.cuCtxCreate_v2(&context, 0, 0);
  if (result == CUDA_SUCCESS) undo.push_back([context] { api.cuCtxDestroy_v2(context); });
  return result;
}

/// Of 8 multiprocessors, in the primary context. Null: the driver has none, or refused it.
CUgreenCtx Green(CUresult& result) {
  CUdevResource all = {};
  CUdevResource part = {};
  CUdevResourceDesc desc = nullptr;
  CUgreenCtx green = nullptr;
  unsigned int groups = 1;
  result = CUDA_ERROR_NOT_FOUND;
  if (api.cuGreenCtxCreate == nullptr) return nullptr;
  result = api.cuDeviceGetDevResource(0, &all, CU_DEV_RESOURCE_TYPE_SM);
  if (result == CUDA_SUCCESS) {
    result = api.cuDevSmResourceSplitByCount(&part, &groups, &all, nullptr, 0, 8);
  }
  if (result == CUDA_SUCCESS) result = api.cuDevResourceGenerateDesc(&desc, &part, 1);
  if (result == CUDA_SUCCESS) {
    result = api.cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM);
  }
  return result == CUDA_SUCCESS ? green : nullptr;
}

/// At most eight, as with contexts.
CUresult GreenContext(Undo& undo) {
  if (undo.size() == 8) return CUDA_ERROR_INVALID_VALUE;
  CUresult result{};
  CUgreenCtx const green = Green(result);
  if (green != nullptr) undo.push_back([green] { api.cuGreenCtxDestroy(green); });
  return result;
}

/// What was allocated while a green context was current, which has gone: is it still there?
CUresult LeftByGreenContext(Undo& undo) {
  CUresult result{};
  CUcontext shown = nullptr;
  CUcontext primary = nullptr;
  CUdeviceptr ptr = 0;
  CUgreenCtx const green = Green(result);
  if (green == nullptr) return result;
  api.cuDevicePrimaryCtxRetain(&primary, 0);
  api.cuCtxFromGreenCtx(&shown, green);
  api.cuCtxSetCurrent(shown);
  result = api.cuMemAlloc_v2(&ptr, kStep);
  api.cuCtxSetCurrent(primary);
  api.cuGreenCtxDestroy(green);
  return Memory(undo, result, ptr);
}

/// Raises a limit of the context step by step, sixteen times; what it takes, NVML shows.
Case Limit(CUlimit limit, std::size_t step) {
  return {0, [=](Undo& undo) {
            std::size_t value = 0;
            if (undo.size() == 16) return CUDA_ERROR_INVALID_VALUE;
            api.cuCtxGetLimit(&value, limit);
            const CUresult result = api.cuCtxSetLimit(limit, value + step);
            if (result == CUDA_SUCCESS) {
              undo.push_back([=, first = undo.empty()] {
                if (first) api.cuCtxSetLimit(limit, value);
              });
            }
            return result;
          }};
}

/// More managed memory than the card has free can hang a GPU: whoever runs this sees to that.
CUresult Managed(Undo& undo) {
  CUdeviceptr ptr = 0;
  const CUresult result = api.cuMemAllocManaged(&ptr, kStep, CU_MEM_ATTACH_GLOBAL);
  if (result == CUDA_SUCCESS) api.cuMemsetD8_v2(ptr, 0, kStep);
  return Memory(undo, result, ptr);
}

using Cases = std::map<std::string, std::function<Case()>>;

Case Plain(std::size_t bytes) {
  return {bytes, [bytes](Undo& undo) {
            CUdeviceptr ptr = 0;
            const CUresult result = api.cuMemAlloc_v2(&ptr, bytes);
            return Memory(undo, result, ptr);
          }};
}

CUresult Pitched(Undo& undo) {
  CUdeviceptr ptr = 0;
  std::size_t pitch = 0;
  const CUresult result = api.cuMemAllocPitch_v2(&ptr, &pitch, 65536, 1024, 4);
  return Memory(undo, result, ptr);
}

Case ArrayOf(std::size_t width, std::size_t height, std::size_t depth) {
  const std::size_t bytes = width * height * (depth == 0 ? 1 : depth) * 4;
  return {bytes, [=](Undo& undo) { return Array(undo, width, height, depth); }};
}

Case PhysicalOf(bool mapped, bool exported) {
  return {kStep, [=](Undo& undo) { return Physical(undo, mapped, exported); }};
}

/// "_small" and "_odd" show what the driver's rounding and tiling cost.
const Cases& AllCases() {
  static const Cases cases = {
      {"cuMemAlloc", [] { return Plain(kStep); }},
      {"cuMemAlloc_small", [] { return Plain(100'000); }},
      {"cuMemAlloc_odd", [] { return Plain(3 * kMiB + 1); }},
      {"cuMemAllocPitch",
       [] {
         return Case{kStep, Pitched};
       }},
      {"cuMemAllocManaged",
       [] {
         return Case{kStep, Managed};
       }},
      {"cuArrayCreate", [] { return ArrayOf(4096, 4096, 0); }},
      {"cuArrayCreate_odd", [] { return ArrayOf(1030, 1030, 0); }},
      {"cuArray3DCreate", [] { return ArrayOf(256, 256, 256); }},
      {"cuMipmappedArrayCreate",
       [] {
         return Case{kStep, Mipmapped};
       }},
      {"cuMemAllocAsync", [] { return FromPool(false); }},
      {"cuMemAllocFromPoolAsync", [] { return FromPool(true); }},
      {"cuMemCreate", [] { return PhysicalOf(false, false); }},
      {"cuMemCreate_mapped", [] { return PhysicalOf(true, false); }},
      {"cuMemCreate_exported", [] { return PhysicalOf(false, true); }},
      {"graph_nodes", [] { return FromGraphs(false); }},
      {"graph_captured", [] { return FromGraphs(true); }},
      {"cuModuleLoadData",
       [] {
         return Case{kStep, Module};
       }},
      {"cuCtxCreate",
       [] {
         return Case{0, Context};
       }},
      {"cuCtxSetLimit_stack", [] { return Limit(CU_LIMIT_STACK_SIZE, 1024); }},
      {"cuCtxSetLimit_heap", [] { return Limit(CU_LIMIT_MALLOC_HEAP_SIZE, 4 * kStep); }},
      {"cuCtxSetLimit_printf", [] { return Limit(CU_LIMIT_PRINTF_FIFO_SIZE, 4 * kStep); }},
      {"cuGreenCtxCreate",
       [] {
         return Case{0, GreenContext};
       }},
      {"cuGreenCtx_memory",
       [] {
         return Case{kStep, LeftByGreenContext};
       }},
  };
  return cases;
}

bool Start() {
  CUcontext context = nullptr;
  CUresult result = api.cuInit(0);
  if (result == CUDA_SUCCESS) result = api.cuDevicePrimaryCtxRetain(&context, 0);
  if (result == CUDA_SUCCESS) result = api.cuCtxSetCurrent(context);
  if (result != CUDA_SUCCESS) printf("held 0 %d\n", result);
  return result == CUDA_SUCCESS;
}

void Run(const Case& path, std::size_t wanted) {
  Undo undo;
  std::size_t held = 0;
  std::size_t steps = 0;
  CUresult result = CUDA_SUCCESS;
  while (held < wanted && steps < 100'000 && (result = path.take(undo)) == CUDA_SUCCESS) {
    held += path.step_bytes;
    ++steps;
  }
  printf("held %zu %d %zu\n", held, result, steps);
  fflush(stdout);
  getchar();
  for (const auto& give : undo) give();
  undo.clear();
  path.settle();
  printf("freed\n");
  fflush(stdout);
  getchar();
  printf("again %d\n", path.take(undo));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    for (const auto& [name, make] : AllCases()) puts(name.c_str());
    return argc == 1 ? 0 : 2;
  }
  const auto found = AllCases().find(argv[1]);
  if (found == AllCases().end() || !Load(argc > 3 && strcmp(argv[3], "table") == 0)) {
    fprintf(stderr, "no such case, or no driver\n");
    return 2;
  }
  if (!Start()) return 0;
  Run(found->second(), strtoull(argv[2], nullptr, 10));
  return 0;
}
