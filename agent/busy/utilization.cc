#include "agent/busy/utilization.h"

#include <dlfcn.h>

#include <algorithm>
#include <utility>

namespace tessera::agent {
namespace {

/// More than NVML keeps of utilisation (100), and four times what it keeps of a second on any GPU.
constexpr unsigned int kRoom = 128;

template <typename Function>
void Load(void* library, const char* symbol, Function& into, std::string& missing) {
  into = reinterpret_cast<Function>(dlsym(library, symbol));
  if (into == nullptr && missing.empty()) missing = symbol;
}

}  // namespace

void UtilizationReader::Unload::operator()(void* library) const { dlclose(library); }

UtilizationReader::UtilizationReader(Library library, const Functions& functions)
    : library_(std::move(library)), f_(functions) {}

UtilizationReader::~UtilizationReader() { f_.shutdown(); }

std::unique_ptr<UtilizationReader> UtilizationReader::Open(const std::string& name,
                                                           std::string& trouble) {
  Library library(dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (!library) {
    const char* reason = dlerror();
    trouble = reason == nullptr ? name + ": cannot be loaded" : reason;
    return nullptr;
  }
  Functions f;
  std::string missing;
  Load(library.get(), "nvmlInit_v2", f.init, missing);
  Load(library.get(), "nvmlShutdown", f.shutdown, missing);
  Load(library.get(), "nvmlDeviceGetHandleByUUID", f.by_uuid, missing);
  Load(library.get(), "nvmlDeviceGetSamples", f.samples, missing);
  if (!missing.empty()) {
    trouble = name + " has no symbol " + missing;
    return nullptr;
  }
  Load(library.get(), "nvmlErrorString", f.error_string, missing);
  if (const nvmlReturn_t result = f.init(); result != NVML_SUCCESS) {
    trouble = ErrorText(f, "nvmlInit_v2", result);
    return nullptr;
  }
  return std::unique_ptr<UtilizationReader>(new UtilizationReader(std::move(library), f));
}

std::string UtilizationReader::ErrorText(const Functions& f, const char* call,
                                         nvmlReturn_t result) {
  const char* text = f.error_string == nullptr ? nullptr : f.error_string(result);
  return std::string(call) + ": " +
         (text == nullptr ? "NVML error " + std::to_string(result) : std::string(text));
}

UtilizationReader::Answer UtilizationReader::Since(const std::string& gpu_uuid,
                                                   std::uint64_t real_us) {
  nvmlDevice_t& device = devices_[gpu_uuid];
  if (device == nullptr) {
    const nvmlReturn_t result = f_.by_uuid(gpu_uuid.c_str(), &device);
    if (result != NVML_SUCCESS) {
      devices_.erase(gpu_uuid);
      return {.trouble = ErrorText(f_, "nvmlDeviceGetHandleByUUID", result), .samples = {}};
    }
  }
  return Ask(device, real_us);
}

UtilizationReader::Answer UtilizationReader::Ask(nvmlDevice_t device, std::uint64_t real_us) const {
  nvmlSample_t samples[kRoom];
  unsigned int count = kRoom;
  nvmlValueType_t type{};
  const nvmlReturn_t result =
      f_.samples(device, NVML_GPU_UTILIZATION_SAMPLES, real_us, &type, &count, samples);
  Answer answer;
  if (result == NVML_ERROR_NOT_FOUND) return answer;
  if (result != NVML_SUCCESS) {
    answer.trouble = ErrorText(f_, "nvmlDeviceGetSamples", result);
    return answer;
  }
  if (type != NVML_VALUE_TYPE_UNSIGNED_INT) {
    answer.trouble = "nvmlDeviceGetSamples: values of type " + std::to_string(type);
    return answer;
  }
  for (unsigned int i = 0; i < std::min(count, kRoom); ++i) {
    answer.samples.push_back(
        {.real_us = samples[i].timeStamp, .percent = samples[i].sampleValue.uiVal});
  }
  return answer;
}

}  // namespace tessera::agent
