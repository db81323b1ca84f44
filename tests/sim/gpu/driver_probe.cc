// Asks a CUDA driver what it answers, one line for each question. Linked with -lcuda, it runs on a
// real driver and on the simulated one; tests/sim/gpu/driver_probe.h200 is what a real one said.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/abi/cuda_more.h"
#include "sim/gpu/kernels.h"

namespace {

using tessera::sim::gpu::kKernelsPtx;

void Say(const char* question, long long answer) { std::printf("%s: %lld\n", question, answer); }

/// A value that the enumeration does not have, as a careless program passes it.
template <typename Enumeration>
Enumeration Value(int number) {
  Enumeration value{};
  static_assert(sizeof(value) == sizeof(number));
  std::memcpy(&value, &number, sizeof(value));
  return value;
}

CUcontext Primary() {
  CUcontext ctx = nullptr;
  cuInit(0);
  cuDevicePrimaryCtxRetain(&ctx, 0);
  cuCtxSetCurrent(ctx);
  return ctx;
}

CUfunction Kernel(const char* name) {
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  cuModuleLoadData(&module, kKernelsPtx);
  cuModuleGetFunction(&function, module, name);
  return function;
}

CUresult Run(CUfunction function, CUstream stream = nullptr, unsigned long long ns = 1000) {
  void* params[] = {&ns};
  return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr);
}

std::size_t FreeBytes() {
  std::size_t free = 0;
  cuMemGetInfo_v2(&free, nullptr);
  return free;
}

void BeforeInit() {
  int number = 0;
  CUdevice device = 0;
  CUdeviceptr ptr = 0;
  CUcontext ctx = nullptr;
  const char* text = nullptr;
  Say("no init: cuDriverGetVersion", cuDriverGetVersion(&number));
  Say("no init: cuDeviceGetCount", cuDeviceGetCount(&number));
  Say("no init: cuDeviceGet", cuDeviceGet(&device, 0));
  Say("no init: cuMemAlloc", cuMemAlloc_v2(&ptr, 1));
  Say("no init: cuMemAlloc null", cuMemAlloc_v2(nullptr, 1));
  Say("no init: cuMemFree 0", cuMemFree_v2(0));
  Say("no init: cuCtxGetCurrent", cuCtxGetCurrent(&ctx));
  Say("no init: cuCtxSynchronize", cuCtxSynchronize());
  Say("no init: cuGetErrorName", cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text));
  Say("no init: cuDriverGetVersion null", cuDriverGetVersion(nullptr));
  Say("cuInit flags 1", cuInit(1));
}

void NoContext() {
  cuInit(0);
  CUdeviceptr ptr = 0;
  CUcontext ctx = reinterpret_cast<CUcontext>(8);
  CUstream stream = nullptr;
  CUevent event = nullptr;
  CUmodule module = nullptr;
  CUdevice device = 0;
  std::size_t free = 0;
  Say("no context: cuMemAlloc", cuMemAlloc_v2(&ptr, 1));
  Say("no context: cuMemAlloc null", cuMemAlloc_v2(nullptr, 0));
  Say("no context: cuMemFree 0", cuMemFree_v2(0));
  Say("no context: cuMemFree 1", cuMemFree_v2(1));
  Say("no context: cuMemGetInfo", cuMemGetInfo_v2(&free, nullptr));
  Say("no context: cuCtxGetCurrent", cuCtxGetCurrent(&ctx));
  Say("no context: current is null", ctx == nullptr);
  Say("no context: cuCtxGetDevice", cuCtxGetDevice(&device));
  Say("no context: cuCtxSynchronize", cuCtxSynchronize());
  Say("no context: cuCtxPopCurrent", cuCtxPopCurrent_v2(&ctx));
  Say("no context: cuStreamCreate", cuStreamCreate(&stream, 0));
  Say("no context: cuEventCreate", cuEventCreate(&event, 0));
  Say("no context: cuModuleLoadData", cuModuleLoadData(&module, kKernelsPtx));
  Say("no context: cuCtxSetCurrent null", cuCtxSetCurrent(nullptr));
  Say("no context: cuStreamSynchronize 0", cuStreamSynchronize(nullptr));
  Say("no context: cuMemAllocAsync", cuMemAllocAsync(&ptr, 1, nullptr));
}

void Devices() {
  cuInit(0);
  int value = 0;
  CUdevice device = 0;
  char text[64] = {};
  std::size_t bytes = 0;
  CUuuid uuid{};
  Say("cuDeviceGet -1", cuDeviceGet(&device, -1));
  Say("cuDeviceGet 99", cuDeviceGet(&device, 99));
  Say("cuDeviceGet null", cuDeviceGet(nullptr, 0));
  Say("cuDeviceGetCount null", cuDeviceGetCount(nullptr));
  Say("cuDeviceGetName short", cuDeviceGetName(text, 4, 0));
  Say("cuDeviceGetName short length", static_cast<long long>(std::strlen(text)));
  Say("cuDeviceGetName null", cuDeviceGetName(nullptr, 4, 0));
  Say("cuDeviceGetName 99", cuDeviceGetName(text, 64, 99));
  Say("cuDeviceGetAttribute 0", cuDeviceGetAttribute(&value, Value<CUdevice_attribute>(0), 0));
  Say("cuDeviceGetAttribute 9999",
      cuDeviceGetAttribute(&value, Value<CUdevice_attribute>(9999), 0));
  Say("cuDeviceGetAttribute 99th device",
      cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 99));
  Say("cuDeviceTotalMem null", cuDeviceTotalMem_v2(nullptr, 0));
  Say("cuDeviceTotalMem 99", cuDeviceTotalMem_v2(&bytes, 99));
  Say("cuDeviceGetUuid null", cuDeviceGetUuid_v2(nullptr, 0));
  Say("cuDeviceGetUuid 99", cuDeviceGetUuid_v2(&uuid, 99));
  std::memset(text, 0, sizeof(text));
  Say("cuDeviceGetPCIBusId", cuDeviceGetPCIBusId(text, 64, 0));
  Say("cuDeviceGetPCIBusId length", static_cast<long long>(std::strlen(text)));
  Say("cuDeviceGetByPCIBusId", cuDeviceGetByPCIBusId(&device, text));
  Say("cuDeviceGetPCIBusId short", cuDeviceGetPCIBusId(text, 5, 0));
  Say("cuDeviceGetByPCIBusId none", cuDeviceGetByPCIBusId(&device, "0000:77:00.0"));
  Say("cuDeviceGetByPCIBusId bad", cuDeviceGetByPCIBusId(&device, "zz"));
}

void Memory() {
  const CUcontext ctx = Primary();
  CUdeviceptr ptr = 0;
  CUdeviceptr other = 0;
  std::size_t bytes = 0;
  (void)ctx;
  Say("cuMemAlloc 0 bytes", cuMemAlloc_v2(&ptr, 0));
  Say("cuMemAlloc null", cuMemAlloc_v2(nullptr, 16));
  Say("cuMemAlloc too much", cuMemAlloc_v2(&ptr, std::size_t{1} << 46));
  Say("cuMemAlloc all of size_t", cuMemAlloc_v2(&ptr, SIZE_MAX));
  Say("cuMemAlloc", cuMemAlloc_v2(&ptr, 1000));
  Say("cuMemAlloc aligned to 256", ptr % 256);
  Say("cuMemGetAddressRange", cuMemGetAddressRange_v2(&other, &bytes, ptr + 10));
  Say("cuMemGetAddressRange base", other == ptr);
  Say("cuMemGetAddressRange bytes", static_cast<long long>(bytes));
  Say("cuMemGetAddressRange unknown", cuMemGetAddressRange_v2(&other, &bytes, 4096));
  Say("cuMemFree inner", cuMemFree_v2(ptr + 256));
  Say("cuMemFree", cuMemFree_v2(ptr));
  Say("cuMemFree again", cuMemFree_v2(ptr));
  Say("cuMemFree 0", cuMemFree_v2(0));
  Say("cuMemFree unknown", cuMemFree_v2(0x1234567000));
  Say("cuMemAllocManaged flags 0", cuMemAllocManaged(&ptr, 64, 0));
  Say("cuMemAllocManaged", cuMemAllocManaged(&ptr, 64, CU_MEM_ATTACH_GLOBAL));
  Say("cuMemFree managed", cuMemFree_v2(ptr));
  Say("cuMemAllocPitch element 3", cuMemAllocPitch_v2(&ptr, &bytes, 100, 10, 3));
  Say("cuMemAllocPitch", cuMemAllocPitch_v2(&ptr, &bytes, 100, 10, 4));
  Say("cuMemAllocPitch pitch", static_cast<long long>(bytes));
  Say("cuMemAllocPitch free", cuMemFree_v2(ptr));
  Say("cuMemGetInfo nulls", cuMemGetInfo_v2(nullptr, nullptr));
  const std::size_t before = FreeBytes();
  cuMemAlloc_v2(&ptr, std::size_t{256} << 20);
  Say("cuMemGetInfo after 256 MiB", static_cast<long long>(before - FreeBytes()) >> 20);
  cuMemFree_v2(ptr);
  Say("cuMemGetInfo after free", static_cast<long long>(before - FreeBytes()));
}

void Host() {
  Primary();
  void* ptr = nullptr;
  CUdeviceptr device_ptr = 0;
  unsigned int flags = 0;
  std::vector<char> own(1 << 20);
  ptr = &own;
  Say("cuMemAllocHost 0", cuMemAllocHost_v2(&ptr, 0));
  Say("cuMemAllocHost 0 gives null", ptr == nullptr);
  Say("cuMemHostAlloc flags 64", cuMemHostAlloc(&ptr, 64, 64));
  Say("cuMemHostAlloc", cuMemHostAlloc(&ptr, 4096, 0));
  Say("cuMemHostGetFlags", cuMemHostGetFlags(&flags, ptr));
  Say("cuMemHostGetFlags flags", flags);
  Say("cuMemHostGetDevicePointer", cuMemHostGetDevicePointer_v2(&device_ptr, ptr, 0));
  Say("cuMemHostGetDevicePointer same", device_ptr == reinterpret_cast<CUdeviceptr>(ptr));
  Say("cuMemFree of host memory", cuMemFree_v2(reinterpret_cast<CUdeviceptr>(ptr)));
  Say("cuMemFreeHost", cuMemFreeHost(ptr));
  Say("cuMemFreeHost again", cuMemFreeHost(ptr));
  Say("cuMemFreeHost null", cuMemFreeHost(nullptr));
  Say("cuMemHostRegister", cuMemHostRegister_v2(own.data(), own.size(), 0));
  Say("cuMemHostRegister again", cuMemHostRegister_v2(own.data(), own.size(), 0));
  Say("cuMemHostUnregister", cuMemHostUnregister(own.data()));
  Say("cuMemHostUnregister again", cuMemHostUnregister(own.data()));
  Say("cuMemHostGetDevicePointer unknown",
      cuMemHostGetDevicePointer_v2(&device_ptr, own.data(), 0));
}

void Pointers() {
  Primary();
  CUdeviceptr ptr = 0;
  cuMemAlloc_v2(&ptr, 1000);
  unsigned int type = 77;
  int ordinal = 77;
  unsigned char managed = 77;
  CUcontext ctx = nullptr;
  void* host = nullptr;
  int own = 0;
  const auto stack = reinterpret_cast<CUdeviceptr>(&own);
  Say("pointer type", cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, ptr));
  Say("pointer type value", type);
  Say("pointer ordinal", cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, ptr));
  Say("pointer ordinal value", ordinal);
  Say("pointer managed", cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, ptr));
  Say("pointer managed value", managed);
  Say("pointer context", cuPointerGetAttribute(&ctx, CU_POINTER_ATTRIBUTE_CONTEXT, ptr));
  CUcontext current = nullptr;
  cuCtxGetCurrent(&current);
  Say("pointer context same", ctx == current);
  Say("pointer host", cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, ptr));
  Say("pointer unknown type",
      cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, stack));
  Say("pointer bad attribute", cuPointerGetAttribute(&type, 9999, ptr));
  int attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                      CU_POINTER_ATTRIBUTE_CONTEXT};
  void* data[] = {&type, &ordinal, &ctx};
  Say("pointer attributes of unknown", cuPointerGetAttributes(3, attributes, data, stack));
  Say("pointer attributes of unknown type", type);
  Say("pointer attributes of unknown ordinal", ordinal);
  Say("pointer attributes of unknown context", ctx == nullptr);
}

void Contexts() {
  cuInit(0);
  unsigned int flags = 0;
  unsigned int version = 0;
  int active = 0;
  CUcontext ctx = nullptr;
  CUcontext other = nullptr;
  CUdeviceptr ptr = 0;
  CUdevice device = 0;
  Say("primary release before retain", cuDevicePrimaryCtxRelease_v2(0));
  Say("primary state", cuDevicePrimaryCtxGetState(0, &flags, &active));
  Say("primary active", active);
  cuDevicePrimaryCtxRetain(&ctx, 0);
  cuDevicePrimaryCtxGetState(0, &flags, &active);
  Say("primary active after retain", active);
  Say("primary api version", cuCtxGetApiVersion(ctx, &version));
  Say("primary api version value", version);
  Say("cuCtxDestroy of primary", cuCtxDestroy_v2(ctx));
  cuCtxSetCurrent(ctx);
  Say("primary released while current", cuDevicePrimaryCtxRelease_v2(0));
  Say("cuMemAlloc in released primary", cuMemAlloc_v2(&ptr, 16));
  Say("cuCtxGetDevice in released primary", cuCtxGetDevice(&device));
  Say("cuCtxSetCurrent of released primary", cuCtxSetCurrent(ctx));
  cuDevicePrimaryCtxRetain(&other, 0);
  Say("primary again is the same handle", ctx == other);
  Say("cuMemAlloc in primary again", cuMemAlloc_v2(&ptr, 16));
  Say("primary reset", cuDevicePrimaryCtxReset_v2(0));
  Say("cuMemAlloc after reset", cuMemAlloc_v2(&ptr, 16));
  Say("cuMemFree after reset", cuMemFree_v2(ptr));
  cuDevicePrimaryCtxGetState(0, &flags, &active);
  Say("primary active after reset", active);
  cuCtxSetCurrent(nullptr);
  Say("cuCtxCreate flags", cuCtxCreate_v2(&ctx, 0x10000, 0));
  Say("cuCtxCreate null", cuCtxCreate_v2(nullptr, 0, 0));
  Say("cuCtxCreate device 99", cuCtxCreate_v2(&ctx, 0, 99));
  Say("cuCtxCreate", cuCtxCreate_v2(&ctx, 0, 0));
  Say("cuCtxGetApiVersion", cuCtxGetApiVersion(ctx, &version));
  Say("cuCtxGetApiVersion value", version);
  CUresult in_thread = CUDA_SUCCESS;
  std::thread([&] {
    cuCtxSetCurrent(ctx);
    std::thread([&] { cuCtxDestroy_v2(ctx); }).join();
    in_thread = cuMemAlloc_v2(&ptr, 16);
  }).join();
  Say("cuMemAlloc in destroyed context", in_thread);
  Say("cuCtxSynchronize in destroyed context", cuCtxSynchronize());
  Say("cuCtxPopCurrent of destroyed context", cuCtxPopCurrent_v2(&other));
  Say("cuCtxDestroy null", cuCtxDestroy_v2(nullptr));
  cuCtxCreate_v2(&ctx, 0, 0);
  Say("cuCtxDestroy current", cuCtxDestroy_v2(ctx));
  Say("cuCtxGetCurrent after destroy", cuCtxGetCurrent(&other));
  Say("no context after destroy", other == nullptr);
  int least = 9;
  int greatest = 9;
  Primary();
  Say("priority range", cuCtxGetStreamPriorityRange(&least, &greatest));
  Say("priority least", least);
  Say("priority greatest", greatest);
  std::size_t limit = 0;
  Say("cuCtxGetLimit stack", cuCtxGetLimit(&limit, CU_LIMIT_STACK_SIZE));
  Say("cuCtxGetLimit stack value", static_cast<long long>(limit));
  Say("cuCtxGetLimit heap value",
      (cuCtxGetLimit(&limit, CU_LIMIT_MALLOC_HEAP_SIZE), static_cast<long long>(limit)));
  Say("cuCtxGetLimit 999", cuCtxGetLimit(&limit, Value<CUlimit>(999)));
}

void Streams() {
  Primary();
  CUstream stream = nullptr;
  CUevent event = nullptr;
  CUevent end = nullptr;
  float ms = 0;
  const CUfunction spin = Kernel("spin");
  Say("cuStreamCreate flags 8", cuStreamCreate(&stream, 8));
  Say("cuStreamCreate null", cuStreamCreate(nullptr, 0));
  Say("cuStreamCreate", cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  Say("cuStreamQuery empty", cuStreamQuery(stream));
  Run(spin, stream, 50'000'000);
  Say("cuStreamQuery busy", cuStreamQuery(stream));
  Say("cuStreamQuery null while a non-blocking one is busy", cuStreamQuery(nullptr));
  Say("cuStreamSynchronize", cuStreamSynchronize(stream));
  Say("cuEventCreate flags 64", cuEventCreate(&event, 64));
  cuEventCreate(&event, 0);
  cuEventCreate(&end, 0);
  Say("cuEventQuery unrecorded", cuEventQuery(event));
  Say("cuEventSynchronize unrecorded", cuEventSynchronize(event));
  Say("cuEventElapsedTime unrecorded", cuEventElapsedTime(&ms, event, end));
  cuEventRecord(event, stream);
  Run(spin, stream, 50'000'000);
  cuEventRecord(end, stream);
  Say("cuEventQuery pending", cuEventQuery(end));
  cuEventSynchronize(event);
  Say("cuEventElapsedTime pending", cuEventElapsedTime(&ms, event, end));
  cuEventSynchronize(end);
  Say("cuEventElapsedTime", cuEventElapsedTime(&ms, event, end));
  Say("cuEventElapsedTime is 50 ms", ms > 49 && ms < 60);
  Say("cuEventDestroy", cuEventDestroy_v2(event));
  Say("cuEventDestroy null", cuEventDestroy_v2(nullptr));
  Say("cuStreamDestroy null", cuStreamDestroy_v2(nullptr));
  Say("cuStreamDestroy legacy", cuStreamDestroy_v2(CU_STREAM_LEGACY));
  Run(spin, stream, 50'000'000);
  Say("cuStreamDestroy busy", cuStreamDestroy_v2(stream));
  Say("cuStreamWaitEvent null", cuStreamWaitEvent(nullptr, nullptr, 0));
  Say("cuEventRecord null", cuEventRecord(nullptr, nullptr));
  Say("cuCtxSynchronize", cuCtxSynchronize());
}

void Code() {
  Primary();
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  CUdeviceptr ptr = 0;
  std::size_t bytes = 0;
  Say("cuModuleLoadData null", cuModuleLoadData(&module, nullptr));
  Say("cuModuleLoadData text", cuModuleLoadData(&module, "this is no PTX at all"));
  Say("cuModuleLoadData broken",
      cuModuleLoadData(&module, ".version 7.0\n.target sm_70\n.entry {"));
  Say("cuModuleLoadData empty", cuModuleLoadData(&module, "\0\0\0\0"));
  Say("cuModuleLoad no file", cuModuleLoad(&module, "/nonexistent"));
  Say("cuModuleLoadData", cuModuleLoadData(&module, kKernelsPtx));
  Say("cuModuleGetFunction unknown", cuModuleGetFunction(&function, module, "unknown"));
  Say("cuModuleGetFunction null name", cuModuleGetFunction(&function, module, nullptr));
  Say("cuModuleGetGlobal", cuModuleGetGlobal_v2(&ptr, &bytes, module, "tessera_scratch"));
  Say("cuModuleGetGlobal bytes", static_cast<long long>(bytes));
  Say("cuMemFree of a global", cuMemFree_v2(ptr));
  Say("cuModuleGetGlobal unknown", cuModuleGetGlobal_v2(&ptr, &bytes, module, "unknown"));
  Say("cuModuleGetGlobal unknown clears", ptr == 0);
  Say("cuModuleGetFunction", cuModuleGetFunction(&function, module, "spin"));
  unsigned long long ns = 1;
  void* params[] = {&ns};
  Say("launch grid 0", cuLaunchKernel(function, 0, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr));
  Say("launch block 0", cuLaunchKernel(function, 1, 1, 1, 0, 1, 1, 0, nullptr, params, nullptr));
  Say("launch block 2048",
      cuLaunchKernel(function, 1, 1, 1, 2048, 1, 1, 0, nullptr, params, nullptr));
  Say("launch block z 128",
      cuLaunchKernel(function, 1, 1, 1, 1, 1, 128, 0, nullptr, params, nullptr));
  Say("launch grid y 65536",
      cuLaunchKernel(function, 1, 65536, 1, 1, 1, 1, 0, nullptr, params, nullptr));
  Say("launch shared 1 MiB",
      cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 1 << 20, nullptr, params, nullptr));
  Say("launch shared 64 KiB",
      cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 64 << 10, nullptr, params, nullptr));
  Say("launch params null",
      cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  Say("launch null function",
      cuLaunchKernel(nullptr, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr));
  std::size_t size = sizeof(ns);
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &ns, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  Say("launch extra", cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra));
  Say("launch both", cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, params, extra));
  CUlaunchConfig config{1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, 0};
  Say("launch ex", cuLaunchKernelEx(&config, function, params, nullptr));
  Say("launch ex null", cuLaunchKernelEx(nullptr, function, params, nullptr));
  Say("launch cooperative",
      cuLaunchCooperativeKernel(function, 1, 1, 1, 1, 1, 1, 0, nullptr, params));
  int attribute = 0;
  Say("cuFuncGetAttribute threads",
      cuFuncGetAttribute(&attribute, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function));
  Say("cuFuncGetAttribute threads value", attribute);
  std::size_t offset = 9;
  Say("cuFuncGetParamInfo", cuFuncGetParamInfo(function, 0, &offset, &bytes));
  Say("cuFuncGetParamInfo bytes", static_cast<long long>(bytes));
  Say("cuFuncGetParamInfo 1", cuFuncGetParamInfo(function, 1, &offset, &bytes));
  CUlibrary library = nullptr;
  CUkernel kernel = nullptr;
  Say("cuLibraryLoadData",
      cuLibraryLoadData(&library, kKernelsPtx, nullptr, nullptr, 0, nullptr, nullptr, 0));
  Say("cuLibraryGetKernel", cuLibraryGetKernel(&kernel, library, "noop"));
  Say("cuLibraryGetKernel unknown", cuLibraryGetKernel(&kernel, library, "unknown"));
  Say("launch of a kernel handle", cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 1, 1, 1, 1,
                                                  1, 1, 0, nullptr, nullptr, nullptr));
  Say("cuLibraryUnload", cuLibraryUnload(library));
  Say("cuModuleUnload", cuModuleUnload(module));
  Say("cuCtxSynchronize after code", cuCtxSynchronize());
}

void Sticky() {
  Primary();
  CUdeviceptr ptr = 0;
  CUstream stream = nullptr;
  CUevent event = nullptr;
  CUevent before = nullptr;
  CUdevice device = 0;
  CUcontext ctx = nullptr;
  CUmodule module = nullptr;
  CUcontext other = nullptr;
  unsigned int flags = 0;
  int active = 0;
  void* host = nullptr;
  cuMemAlloc_v2(&ptr, 16);
  cuStreamCreate(&stream, 0);
  cuEventCreate(&before, 0);
  const CUfunction poison = Kernel("poison");
  const CUfunction noop = Kernel("noop");
  Say("poison launch", cuLaunchKernel(poison, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, nullptr));
  Say("poison cuCtxSynchronize", cuCtxSynchronize());
  Say("poison cuCtxSynchronize again", cuCtxSynchronize());
  Say("poison cuStreamSynchronize", cuStreamSynchronize(stream));
  Say("poison cuStreamQuery", cuStreamQuery(stream));
  Say("poison cuMemAlloc", cuMemAlloc_v2(&ptr, 16));
  Say("poison cuMemAlloc null", cuMemAlloc_v2(nullptr, 16));
  Say("poison cuMemFree", cuMemFree_v2(ptr));
  Say("poison cuMemGetInfo", cuMemGetInfo_v2(nullptr, nullptr));
  Say("poison cuMemAllocHost", cuMemAllocHost_v2(&host, 16));
  Say("poison cuStreamCreate", cuStreamCreate(&stream, 0));
  Say("poison cuEventCreate", cuEventCreate(&event, 0));
  Say("poison cuEventQuery", cuEventQuery(before));
  Say("poison cuEventDestroy", cuEventDestroy_v2(before));
  Say("poison cuLaunchKernel",
      cuLaunchKernel(noop, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  Say("poison cuModuleLoadData", cuModuleLoadData(&module, kKernelsPtx));
  Say("poison cuCtxGetDevice", cuCtxGetDevice(&device));
  Say("poison cuCtxGetCurrent", cuCtxGetCurrent(&ctx));
  Say("poison cuCtxGetFlags", cuCtxGetFlags(&flags));
  Say("poison primary state", cuDevicePrimaryCtxGetState(0, &flags, &active));
  Say("poison primary active", active);
  Say("poison cuDeviceGetCount", cuDeviceGetCount(&active));
  Say("poison cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&other, 0));
  Say("poison cuCtxCreate", cuCtxCreate_v2(&other, 0, 0));
  std::thread([&] {
    Say("poison cuMemAlloc in a thread without context", cuMemAlloc_v2(&ptr, 16));
    Say("poison cuMemFree 0 in a thread without context", cuMemFree_v2(0));
    Say("poison cuMemFree in a thread without context", cuMemFree_v2(ptr));
    Say("poison cuCtxCreate in a thread without context", cuCtxCreate_v2(&other, 0, 0));
  }).join();
  Say("poison cuCtxPopCurrent", cuCtxPopCurrent_v2(&ctx));
  Say("poison cuCtxPushCurrent", cuCtxPushCurrent_v2(ctx));
  Say("poison reset", cuDevicePrimaryCtxReset_v2(0));
  Say("poison retain after reset", cuDevicePrimaryCtxRetain(&other, 0));
  Say("poison cuMemAlloc after reset", cuMemAlloc_v2(&ptr, 16));
}

void Fork() {
  Primary();
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    int count = 0;
    CUdeviceptr ptr = 0;
    CUcontext ctx = nullptr;
    Say("child cuInit", cuInit(0));
    Say("child cuDeviceGetCount", cuDeviceGetCount(&count));
    Say("child cuMemAlloc", cuMemAlloc_v2(&ptr, 16));
    Say("child cuCtxGetCurrent", cuCtxGetCurrent(&ctx));
    Say("child cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&ctx, 0));
    Say("child cuDriverGetVersion", cuDriverGetVersion(&count));
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  Say("child ended by signal", WIFSIGNALED(status));
  CUdeviceptr ptr = 0;
  Say("parent cuMemAlloc after fork", cuMemAlloc_v2(&ptr, 16));
}

void Pools() {
  Primary();
  CUmemoryPool pool = nullptr;
  CUmemoryPool own = nullptr;
  CUdeviceptr ptr = 0;
  cuuint64_t value = 77;
  int reuse = 77;
  Say("cuDeviceGetDefaultMemPool", cuDeviceGetDefaultMemPool(&pool, 0));
  cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value);
  Say("pool threshold", static_cast<long long>(value));
  cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &reuse);
  Say("pool opportunistic", reuse);
  ptr = 77;
  Say("cuMemAllocAsync 0", cuMemAllocAsync(&ptr, 0, nullptr));
  Say("cuMemAllocAsync 0 gives 0", ptr == 0);
  Say("cuMemAllocAsync", cuMemAllocAsync(&ptr, 1, nullptr));
  cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &value);
  Say("pool reserved MiB", static_cast<long long>(value >> 20));
  cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &value);
  Say("pool used", static_cast<long long>(value));
  Say("cuMemFreeAsync", cuMemFreeAsync(ptr, nullptr));
  Say("cuMemFreeAsync again", cuMemFreeAsync(ptr, nullptr));
  cuCtxSynchronize();
  cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &value);
  Say("pool reserved after synchronise", static_cast<long long>(value));
  cuMemAllocAsync(&ptr, 33 << 20, nullptr);
  cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &value);
  Say("pool reserved MiB of 33", static_cast<long long>(value >> 20));
  Say("cuMemFree of a pool's memory", cuMemFree_v2(ptr));
  Say("cuMemFreeAsync of cuMemAlloc's memory",
      (cuMemAlloc_v2(&ptr, 16), cuMemFreeAsync(ptr, nullptr)));
  Say("cuMemFreeAsync 0", cuMemFreeAsync(0, nullptr));
  Say("cuMemAllocAsync too much", cuMemAllocAsync(&ptr, std::size_t{1} << 46, nullptr));
  Say("cuMemPoolDestroy of default", cuMemPoolDestroy(pool));
  CUmemPoolProps props{};
  Say("cuMemPoolCreate of nothing", cuMemPoolCreate(&own, &props));
  props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  Say("cuMemPoolCreate", cuMemPoolCreate(&own, &props));
  Say("cuMemAllocFromPoolAsync", cuMemAllocFromPoolAsync(&ptr, 1000, own, nullptr));
  Say("cuMemPoolDestroy while used", cuMemPoolDestroy(own));
  Say("cuMemFreeAsync after its pool", cuMemFreeAsync(ptr, nullptr));
  Say("cuMemPoolTrimTo", cuMemPoolTrimTo(pool, 0));
}

void VirtualMemory() {
  Primary();
  CUmemAllocationProp prop{};
  std::size_t granularity = 0;
  CUmemGenericAllocationHandle handle = 0;
  CUmemGenericAllocationHandle again = 0;
  CUdeviceptr ptr = 0;
  Say("granularity of nothing",
      cuMemGetAllocationGranularity(&granularity, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  Say("granularity",
      cuMemGetAllocationGranularity(&granularity, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  Say("granularity KiB", static_cast<long long>(granularity >> 10));
  const std::size_t bytes = std::size_t{64} << 20;
  Say("cuMemCreate 1 byte", cuMemCreate(&handle, 1, &prop, 0));
  Say("cuMemCreate too much", cuMemCreate(&handle, std::size_t{1} << 46, &prop, 0));
  const std::size_t before = FreeBytes();
  Say("cuMemCreate", cuMemCreate(&handle, bytes, &prop, 0));
  Say("cuMemCreate takes MiB", static_cast<long long>((before - FreeBytes()) >> 20));
  Say("cuMemAddressReserve 1 byte", cuMemAddressReserve(&ptr, 1, 0, 0, 0));
  Say("cuMemAddressReserve", cuMemAddressReserve(&ptr, bytes, 0, 0, 0));
  Say("cuMemMap", cuMemMap(ptr, bytes, 0, handle, 0));
  Say("cuMemMap again", cuMemMap(ptr, bytes, 0, handle, 0));
  Say("cuMemAddressFree while mapped", cuMemAddressFree(ptr, bytes));
  CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  Say("cuMemsetD8 without access", cuMemsetD8_v2(ptr, 1, 16));
  Say("cuMemSetAccess", cuMemSetAccess(ptr, bytes, &access, 1));
  Say("cuMemsetD8", cuMemsetD8_v2(ptr, 1, 16));
  Say("cuMemRetainAllocationHandle",
      cuMemRetainAllocationHandle(&again, reinterpret_cast<void*>(ptr)));
  Say("same handle", again == handle);
  Say("cuMemRelease", cuMemRelease(handle));
  Say("cuMemRelease retained", cuMemRelease(again));
  Say("cuMemRelease once more", cuMemRelease(again));
  Say("mapped memory still taken", static_cast<long long>((before - FreeBytes()) >> 20));
  Say("cuMemFree of a mapping", cuMemFree_v2(ptr));
  Say("cuMemUnmap part", cuMemUnmap(ptr, bytes / 2));
  Say("cuMemUnmap", cuMemUnmap(ptr, bytes));
  Say("unmapped memory given back", static_cast<long long>((before - FreeBytes()) >> 20));
  Say("cuMemUnmap again", cuMemUnmap(ptr, bytes));
  Say("cuMemAddressFree", cuMemAddressFree(ptr, bytes));
  Say("cuMemAddressFree again", cuMemAddressFree(ptr, bytes));
}

void Copies() {
  Primary();
  CUdeviceptr ptr = 0;
  char host[64] = {};
  cuMemAlloc_v2(&ptr, 512);
  Say("cuMemcpyHtoD", cuMemcpyHtoD_v2(ptr, host, 64));
  Say("cuMemcpyHtoD to 0", cuMemcpyHtoD_v2(0, host, 64));
  Say("cuMemcpyHtoD from null", cuMemcpyHtoD_v2(ptr, nullptr, 64));
  Say("cuMemcpyHtoD 0 bytes", cuMemcpyHtoD_v2(ptr, host, 0));
  Say("cuMemcpyHtoD unknown", cuMemcpyHtoD_v2(0x1234567000, host, 64));
  Say("cuMemcpy host to device", cuMemcpy(ptr, reinterpret_cast<CUdeviceptr>(host), 64));
  Say("cuMemsetD8 unknown", cuMemsetD8_v2(0x1234567000, 1, 64));
  Say("cuMemsetD32 odd", cuMemsetD32_v2(ptr + 1, 1, 1));
  Say("cuMemsetD32", cuMemsetD32_v2(ptr, 0x01020304, 16));
  Say("cuMemcpyDtoH", cuMemcpyDtoH_v2(host, ptr, 64));
  Say("cuMemcpyDtoH byte", host[63]);
}

void Arrays() {
  Primary();
  CUarray array = nullptr;
  CUDA_ARRAY_DESCRIPTOR d{16, 16, CU_AD_FORMAT_FLOAT, 1};
  Say("cuArrayCreate", cuArrayCreate_v2(&array, &d));
  CUDA_ARRAY_DESCRIPTOR got{};
  Say("cuArrayGetDescriptor", cuArrayGetDescriptor_v2(&got, array));
  Say("cuArrayGetDescriptor width", static_cast<long long>(got.Width));
  Say("cuArrayDestroy", cuArrayDestroy(array));
  Say("cuArrayDestroy null", cuArrayDestroy(nullptr));
  d.NumChannels = 3;
  Say("cuArrayCreate 3 channels", cuArrayCreate_v2(&array, &d));
  d = {0, 16, CU_AD_FORMAT_FLOAT, 1};
  Say("cuArrayCreate width 0", cuArrayCreate_v2(&array, &d));
  Say("cuArrayCreate null", cuArrayCreate_v2(&array, nullptr));
}

void Graphs() {
  Primary();
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CUgraphNode node = nullptr;
  unsigned long long ns = 1000;
  void* params[] = {&ns};
  CUDA_KERNEL_NODE_PARAMS kernel{Kernel("spin"), 1,       1,       1,      1, 1, 1, 0,
                                 params,         nullptr, nullptr, nullptr};
  Say("cuGraphCreate", cuGraphCreate(&graph, 0));
  Say("cuGraphAddKernelNode", cuGraphAddKernelNode_v2(&node, graph, nullptr, 0, &kernel));
  Say("cuGraphInstantiate", cuGraphInstantiateWithFlags(&exec, graph, 0));
  Say("cuGraphLaunch", cuGraphLaunch(exec, nullptr));
  Say("cuGraphExecDestroy", cuGraphExecDestroy(exec));
  Say("cuGraphDestroy", cuGraphDestroy(graph));
  Say("cuCtxSynchronize after graph", cuCtxSynchronize());
  Say("cuGraphLaunch null", cuGraphLaunch(nullptr, nullptr));
}

void Lookup(const char* name, int version, cuuint64_t flags) {
  void* function = reinterpret_cast<void*>(8);
  auto status = Value<CUdriverProcAddressQueryResult>(77);
  const CUresult result = cuGetProcAddress_v2(name, &function, version, flags, &status);
  std::printf("lookup %s %d %d: result %d status %d null %d\n", name, version,
              static_cast<int>(flags), result, status, function == nullptr);
  function = reinterpret_cast<void*>(8);
  const CUresult bare = cuGetProcAddress_v2(name, &function, version, flags, nullptr);
  const CUresult old = cuGetProcAddress(name, &function, version, flags);
  std::printf("lookup %s %d %d: without status %d old %d null %d\n", name, version,
              static_cast<int>(flags), bare, old, function == nullptr);
}

void* Address(const char* name, int version, cuuint64_t flags = 0) {
  void* function = nullptr;
  cuGetProcAddress_v2(name, &function, version, flags, nullptr);
  return function;
}

CUresult Lookups(int version) {
  void* function = nullptr;
  return cuGetProcAddress_v2("cuMemAlloc", &function, version, 0, nullptr);
}

template <typename Function>
bool Is(const char* name, int version, cuuint64_t flags, Function* expected) {
  return Address(name, version, flags) == reinterpret_cast<void*>(expected);
}

void Lookups() {
  Lookup("cuMemAlloc", 12000, 0);
  Lookup("cuMemAlloc_v2", 12000, 0);
  Lookup("cuNoSuchThing", 12000, 0);
  Lookup("", 12000, 0);
  Lookup("cuMemAllocAsync", 10000, 0);
  Lookup("cuMemAlloc", 12000, 3);
  Lookup("cuMemAlloc", 12000, 4);
  Lookup("cuMemAlloc", 99000, 0);
  Lookup("cuMemAlloc", 0, 0);
  Lookup("cuLaunchKernel", 12000, 2);
  Lookup("cuLaunchKernel", 5000, 2);
  Lookup("cuInit", 12000, 2);
  int driver = 0;
  cuDriverGetVersion(&driver);
  Lookup("cuMemAlloc", driver, 0);
  Say("lookup 0.1 newer than the driver", Lookups(driver + 10));
  Say("lookup 0.9 newer than the driver", Lookups(driver + 90));
  Say("lookup 1.0 newer than the driver", Lookups(driver + 1000));
  Say("cuMemAlloc 3010 is old", Is("cuMemAlloc", 3010, 0, &cuMemAlloc));
  Say("cuMemAlloc 3020 is v2", Is("cuMemAlloc", 3020, 0, &cuMemAlloc_v2));
  Say("cuGetProcAddress 11080 is old", Is("cuGetProcAddress", 11080, 0, &cuGetProcAddress));
  Say("cuGetProcAddress 12000 is v2", Is("cuGetProcAddress", 12000, 0, &cuGetProcAddress_v2));
  Say("cuCtxCreate 12000 is v3", Is("cuCtxCreate", 12000, 0, &cuCtxCreate_v3));
  Say("cuCtxCreate 11030 is v2", Is("cuCtxCreate", 11030, 0, &cuCtxCreate_v2));
  Say("cuCtxCreate 13000 is v4", Is("cuCtxCreate", 13000, 0, &cuCtxCreate_v4));
  Say("cuDeviceGetUuid 11030 is v1", Is("cuDeviceGetUuid", 11030, 0, &cuDeviceGetUuid));
  Say("cuDeviceGetUuid 11040 is v2", Is("cuDeviceGetUuid", 11040, 0, &cuDeviceGetUuid_v2));
  Say("cuLaunchKernel 2 is ptsz", Is("cuLaunchKernel", 12000, 2, &cuLaunchKernel_ptsz));
  Say("cuLaunchKernel 1 is plain", Is("cuLaunchKernel", 12000, 1, &cuLaunchKernel));
  Say("cuLaunchKernel 0 is plain", Is("cuLaunchKernel", 12000, 0, &cuLaunchKernel));
  Say("cuLaunchKernel 5000 2 is plain", Is("cuLaunchKernel", 5000, 2, &cuLaunchKernel));
  Say("cuMemcpyHtoD 2 is ptds", Is("cuMemcpyHtoD", 12000, 2, &cuMemcpyHtoD_v2_ptds));
  Say("cuMemcpyHtoD 6000 2 is v2", Is("cuMemcpyHtoD", 6000, 2, &cuMemcpyHtoD_v2));
  Say("cuMemAllocAsync 2 is ptsz", Is("cuMemAllocAsync", 12000, 2, &cuMemAllocAsync_ptsz));
  Say("cuStreamDestroy 3000 is v1", Is("cuStreamDestroy", 3000, 0, &cuStreamDestroy));
  Say("cuStreamDestroy 12000 is v2", Is("cuStreamDestroy", 12000, 0, &cuStreamDestroy_v2));
  Say("cuEventElapsedTime 12080 is v2", Is("cuEventElapsedTime", 12080, 0, &cuEventElapsedTime_v2));
  Say("cuDevicePrimaryCtxRelease 11000 is v2",
      Is("cuDevicePrimaryCtxRelease", 11000, 0, &cuDevicePrimaryCtxRelease_v2));
  const void* table = nullptr;
  CUuuid unknown{};
  Say("cuGetExportTable unknown", cuGetExportTable(&table, &unknown));
}

/// How many devices a child sees under a CUDA_VISIBLE_DEVICES, or minus its cuInit error.
void Visible() {
  cuInit(0);
  CUuuid uuid{};
  cuDeviceGetUuid_v2(&uuid, 0);
  std::string full = "GPU-";
  for (int i = 0; i < 16; ++i) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    full += digits;
    if (i == 3 || i == 5 || i == 7 || i == 9) full += '-';
  }
  std::string upper = full;
  for (std::size_t i = 4; i < upper.size(); ++i)
    upper[i] = static_cast<char>(std::toupper(upper[i]));
  const std::vector<std::pair<const char*, std::string>> lists = {
      {"empty", ""},
      {"0", "0"},
      {"0,0", "0,0"},
      {"0,99", "0,99"},
      {"99,0", "99,0"},
      {"-1", "-1"},
      {"0,-1", "0,-1"},
      {"' 0'", " 0"},
      {"'0 '", "0 "},
      {"0x", "0x"},
      {"00", "00"},
      {"+0", "+0"},
      {"uuid", full},
      {"uuid prefix", full.substr(0, 9)},
      {"GPU-", "GPU-"},
      {"upper uuid", upper},
      {"lower gpu-", "gpu" + full.substr(3)},
      {"digits only", full.substr(4)},
      {"uuid twice", full + "," + full},
      {"0 and uuid", "0," + full},
      {"all", "all"},
      {"void", "void"},
      {"NoDevFiles", "NoDevFiles"},
      {"0;0", "0;0"},
      {",0", ",0"},
  };
  for (const auto& [name, list] : lists) {
    std::fflush(stdout);
    const std::string command =
        "CUDA_VISIBLE_DEVICES='" + list + "' /proc/" + std::to_string(getpid()) + "/exe count";
    const int status = std::system(command.c_str());
    std::printf("visible %s: %d\n", name, WEXITSTATUS(status));
  }
}

int Count() {
  int count = 0;
  const CUresult init = cuInit(0);
  if (init != CUDA_SUCCESS) return init;  // 100 and up
  cuDeviceGetCount(&count);
  return count;
}

/// Each part in a process of its own: some leave the driver unusable.
void InChild(const char* self, const char* part) {
  std::fflush(stdout);
  const std::string command = std::string(self) + " " + part;
  const int status = std::system(command.c_str());
  if (status != 0) std::printf("%s ended with status %d\n", part, status);
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what was said before a crash is kept
  const std::vector<std::pair<std::string, void (*)()>> parts = {
      {"before-init", BeforeInit},
      {"no-context", NoContext},
      {"devices", Devices},
      {"memory", Memory},
      {"host", Host},
      {"pointers", Pointers},
      {"contexts", Contexts},
      {"streams", Streams},
      {"code", Code},
      {"sticky", Sticky},
      {"fork", Fork},
      {"pools", Pools},
      {"vmm", VirtualMemory},
      {"copies", Copies},
      {"arrays", Arrays},
      {"graphs", Graphs},
      {"lookups", Lookups},
      {"visible", Visible},
  };
  if (argc == 2 && std::string(argv[1]) == "count") return Count();
  for (const auto& [name, part] : parts) {
    if (argc < 2) {
      InChild(argv[0], name.c_str());
    } else if (name == argv[1]) {
      part();
      std::fflush(stdout);
    }
  }
  return 0;
}
