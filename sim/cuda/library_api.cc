#include "common/abi/cuda_more.h"
#include "sim/cuda/driver.h"
#include "sim/cuda/journal.h"
#include "sim/cuda/module.h"

using namespace tessera::sim::cuda;

namespace {

/// A library belongs to no context: its kernels run wherever they are launched, its variables take
/// memory only in the modules that cuLibraryGetModule makes.
CUresult Load(CUlibrary* out, const void* image) {
  if (const CUresult error = Ready()) return error;
  if (out == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  PtxImage outline;
  if (const CUresult error = ReadImage(image, outline)) return error;
  auto library = std::make_shared<Module>();
  for (const PtxEntry& entry : outline.entries) {
    auto kernel = std::make_shared<Function>();
    kernel->entry = entry;
    kernel->contextless = true;
    library->functions.emplace(entry.name, kernel);
    TheDriver().functions.Add(std::move(kernel));
  }
  library->image = std::move(outline);
  *out = reinterpret_cast<CUlibrary>(library.get());
  TheDriver().libraries.Add(std::move(library));
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

// NOLINTBEGIN(readability-function-size): the signatures are CUDA's.

CUresult cuLibraryLoadData(CUlibrary* library, const void* image, int*, void**, unsigned int, int*,
                           void**, unsigned int) {
  return Journal("cuLibraryLoadData", {}, Load(library, image));
}

CUresult cuLibraryUnload(CUlibrary handle) {
  if (const CUresult error = Ready()) return error;
  const ModulePtr library = TheDriver().libraries.Take(handle);
  if (library == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  UnloadModule(*library);
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel* kernel, CUlibrary handle, const char* name) {
  if (const CUresult error = Ready()) return error;
  if (kernel == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ModulePtr library = TheDriver().libraries.Find(handle);
  if (library == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  const auto found = library->functions.find(std::string_view(name));
  if (found == library->functions.end()) return CUDA_ERROR_NOT_FOUND;
  *kernel = reinterpret_cast<CUkernel>(found->second.get());
  return CUDA_SUCCESS;
}

CUresult cuKernelGetFunction(CUfunction* function, CUkernel kernel) {
  const Current current;
  if (!current) return current.error();
  if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (TheDriver().functions.Find(kernel) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  *function = reinterpret_cast<CUfunction>(kernel);
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule* out, CUlibrary handle) {
  const Current current;
  if (!current) return current.error();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ModulePtr library = TheDriver().libraries.Find(handle);
  if (library == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  ModulePtr module;
  if (const CUresult error = LoadModule(HomeOf(current.ctx()), library->image, module))
    return error;
  *out = reinterpret_cast<CUmodule>(module.get());
  return CUDA_SUCCESS;
}

// NOLINTEND(readability-function-size)

}  // extern "C"
