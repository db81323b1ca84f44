#include "sim/cuda/module.h"

#include <cctype>
#include <cstring>

#include "sim/gpu/environment.h"

namespace tessera::sim::cuda {
namespace {

constexpr std::uint32_t kElfMagic = 0x464c457f;
constexpr std::uint32_t kFatbinMagic = 0xba55ed50;
constexpr std::uint32_t kFatbinWrapperMagic = 0x466243b1;

bool LooksLikeText(const char* text) {
  while (std::isspace(static_cast<unsigned char>(*text)) != 0) ++text;
  return *text == '.' || (text[0] == '/' && (text[1] == '/' || text[1] == '*'));
}

}  // namespace

CUresult ReadImage(const void* image, PtxImage& outline) {
  const auto* text = static_cast<const char*>(image);
  if (LooksLikeText(text)) {
    auto parsed = ParsePtx(text);
    if (!parsed) {
      gpu::Complain("PTX: " + parsed.error().message);
      return CUDA_ERROR_INVALID_PTX;
    }
    outline = *std::move(parsed);
    return CUDA_SUCCESS;
  }
  if (*text == '\0') return CUDA_ERROR_INVALID_IMAGE;
  std::uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  const bool machine_code =
      magic == kElfMagic || magic == kFatbinMagic || magic == kFatbinWrapperMagic;
  return machine_code ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_INVALID_IMAGE;
}

CUresult LoadModule(const ContextPtr& ctx, PtxImage outline, ModulePtr& module) {
  auto loaded = std::make_shared<Module>();
  loaded->ctx = ctx;
  for (const PtxGlobal& global : outline.globals) {
    const auto base =
        AllocateDevice(ctx, std::max<std::size_t>(global.bytes, 1), MemoryKind::kGlobal);
    if (!base) {
      UnloadModule(*loaded);
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    loaded->globals.emplace(global.name, *base);
    loaded->sizes.emplace(global.name, global);
  }
  for (const PtxEntry& entry : outline.entries) {
    auto function = std::make_shared<Function>();
    function->ctx = ctx;
    function->entry = entry;
    function->module = reinterpret_cast<CUmodule>(loaded.get());
    loaded->functions.emplace(entry.name, function);
    TheDriver().functions.Add(std::move(function));
  }
  loaded->image = std::move(outline);
  TheDriver().modules.Add(loaded);
  module = std::move(loaded);
  return CUDA_SUCCESS;
}

void UnloadModule(const Module& module) {
  Driver& driver = TheDriver();
  for (const auto& [name, function] : module.functions) driver.functions.Take(function.get());
  for (const auto& [name, base] : module.globals) {
    const auto taken = driver.memory.Take(base, [](const Allocation&) { return true; });
    if (taken) ReleaseAllocation(*taken);
  }
}

}  // namespace tessera::sim::cuda
