#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>

#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/module.h"

using namespace tessera::sim::cuda;

namespace {

CUmodule Handle(const ModulePtr& module) { return reinterpret_cast<CUmodule>(module.get()); }

CUresult Load(CUmodule* out, const void* image) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  PtxImage outline;
  if (const CUresult error = ReadImage(image, outline)) return error;
  ModulePtr module;
  if (const CUresult error = LoadModule(HomeOf(current.ctx()), std::move(outline), module))
    return error;
  *out = Handle(module);
  return CUDA_SUCCESS;
}

/// Reads a whole file. False: it cannot be read.
bool ReadWhole(const char* path, std::string& text) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(fd);
  return got == 0;
}

/// The function's figures; those of a small kernel.
int AttributeOf(int attribute) {
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return 1024;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      return 16;
    case 5:  // PTX version
    case 6:  // binary version
      return 90;
    default:
      return 0;
  }
}
constexpr int kFunctionAttributes = 16;
constexpr int kDynamicSharedBytes = 8;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kMaxDynamicSharedBytes = 232448;

FunctionPtr FindFunction(CUfunction handle, CUresult& error) {
  error = Ready();
  if (error != CUDA_SUCCESS) return nullptr;
  FunctionPtr function = TheDriver().functions.Find(handle);
  if (function == nullptr) error = CUDA_ERROR_INVALID_HANDLE;
  return function;
}

CUresult Occupancy(int* blocks, CUfunction handle, int block_size, std::size_t shared_bytes) {
  const Current current;
  if (!current) return current.error();
  CUresult error{};
  if (FindFunction(handle, error) == nullptr) return error;
  if (blocks == nullptr || block_size <= 0) return CUDA_ERROR_INVALID_VALUE;
  constexpr int kThreads = 2048;
  constexpr std::size_t kShared = 233472;
  const int by_threads = block_size > 1024 ? 0 : std::min(32, kThreads / block_size);
  const int by_shared =
      shared_bytes == 0 ? 32 : static_cast<int>(std::min<std::size_t>(32, kShared / shared_bytes));
  *blocks = std::min(by_threads, by_shared);
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return Journal("cuModuleLoadData", {}, Load(module, image));
}
CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned int count, int* options,
                            void** values) {
  const bool bad = count != 0 && (options == nullptr || values == nullptr);
  return Journal("cuModuleLoadDataEx", {}, bad ? CUDA_ERROR_INVALID_VALUE : Load(module, image));
}
CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  return Journal("cuModuleLoadFatBinary", {}, Load(module, image));
}

CUresult cuModuleLoad(CUmodule* module, const char* path) {
  const Current current;
  if (!current) return current.error();
  if (module == nullptr || path == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::string text;
  if (!ReadWhole(path, text)) return CUDA_ERROR_FILE_NOT_FOUND;
  text.append(4, '\0');
  return Journal("cuModuleLoad", {}, Load(module, text.data()));
}

CUresult cuModuleUnload(CUmodule handle) {
  const Current current;
  if (!current) return current.error();
  const ModulePtr module = TheDriver().modules.Take(handle);
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (const auto owner = module->ctx.lock()) owner->device->engine->Wait(owner->last);
  UnloadModule(*module);
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* out, CUmodule handle, const char* name) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr || name == nullptr || *name == '\0') return CUDA_ERROR_INVALID_VALUE;
  const ModulePtr module = TheDriver().modules.Find(handle);
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const auto found = module->functions.find(std::string_view(name));
  if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *out = reinterpret_cast<CUfunction>(found->second.get());
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunctionCount(unsigned int* count, CUmodule handle) {
  if (const CUresult error = Ready()) return error;
  const ModulePtr module = TheDriver().modules.Find(handle);
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *count = static_cast<unsigned int>(module->functions.size());
  return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* ptr, std::size_t* bytes, CUmodule handle,
                              const char* name) {
  const Current current;
  if (!current) return current.error();
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ModulePtr module = TheDriver().modules.Find(handle);
  if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const auto found = module->globals.find(std::string_view(name));
  if (found == module->globals.end()) {
    if (ptr != nullptr) *ptr = 0;
    if (bytes != nullptr) *bytes = 0;
    return CUDA_ERROR_NOT_FOUND;
  }
  if (ptr != nullptr) *ptr = found->second;
  if (bytes != nullptr) *bytes = module->sizes.at(found->first).bytes;
  return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction handle) {
  CUresult error{};
  if (FindFunction(handle, error) == nullptr) return error;
  if (value == nullptr || attribute < 0 || static_cast<int>(attribute) >= kFunctionAttributes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *value = AttributeOf(attribute);
  return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
  CUresult error{};
  const FunctionPtr function = FindFunction(handle, error);
  if (function == nullptr) return error;
  if (static_cast<int>(attribute) == kDynamicSharedBytes) {
    if (value < 0 || value > kMaxDynamicSharedBytes) return CUDA_ERROR_INVALID_VALUE;
    function->shared_limit_bytes = static_cast<unsigned int>(value);
    return CUDA_SUCCESS;
  }
  const bool settable = attribute >= 8 && static_cast<int>(attribute) < kFunctionAttributes;
  return settable ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuFuncSetCacheConfig(CUfunction handle, int) {
  CUresult error{};
  return FindFunction(handle, error) == nullptr ? error : CUDA_SUCCESS;
}

CUresult cuFuncGetName(const char** name, CUfunction handle) {
  CUresult error{};
  const FunctionPtr function = FindFunction(handle, error);
  if (function == nullptr) return error;
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *name = function->entry.name.c_str();  // lives as long as its module
  return CUDA_SUCCESS;
}

CUresult cuFuncGetModule(CUmodule* module, CUfunction handle) {
  CUresult error{};
  const FunctionPtr function = FindFunction(handle, error);
  if (function == nullptr) return error;
  if (module == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (function->contextless) return CUDA_ERROR_INVALID_HANDLE;
  *module = function->module;
  return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction handle, std::size_t index, std::size_t* offset,
                            std::size_t* bytes) {
  CUresult error{};
  const FunctionPtr function = FindFunction(handle, error);
  if (function == nullptr) return error;
  if (offset == nullptr || index >= function->entry.parameters.size()) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *offset = function->entry.parameters[index].offset;
  if (bytes != nullptr) *bytes = function->entry.parameters[index].bytes;
  return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function,
                                                     int block_size, std::size_t shared_bytes) {
  return Occupancy(blocks, function, block_size, shared_bytes);
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction function,
                                                              int block_size,
                                                              std::size_t shared_bytes,
                                                              unsigned int) {
  return Occupancy(blocks, function, block_size, shared_bytes);
}

}  // extern "C"
