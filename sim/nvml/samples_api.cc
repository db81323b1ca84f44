#include <algorithm>
#include <chrono>

#include "sim/gpu/utilization.h"
#include "sim/nvml/library.h"

// How busy a GPU was in each of the last 200 ms.

using namespace tessera::sim::nvml;
namespace gpu = tessera::sim::gpu;

namespace {

/// The wall clock has to differ so much from what it was before it counts as set anew.
constexpr std::int64_t kClockStepUs = 1000;

/// From the clock of the shared state to microseconds since 1970. The same at each call while
/// nobody sets the clock, so that a stretch keeps its time stamp.
std::int64_t WallOffsetUs() {
  const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const std::int64_t offset = wall.count() - static_cast<std::int64_t>(gpu::NowNs() / 1000);
  Library& library = TheLibrary();
  const std::lock_guard lock(library.mu);
  const std::int64_t moved = offset - library.wall_offset_us;
  if (moved > kClockStepUs || moved < -kClockStepUs) library.wall_offset_us = offset;
  return library.wall_offset_us;
}

unsigned long long StampOf(const gpu::UtilizationSample& sample, std::int64_t offset_us) {
  return static_cast<unsigned long long>(static_cast<std::int64_t>(sample.end_ns / 1000) +
                                         offset_us);
}

}  // namespace

extern "C" nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t device, nvmlSamplingType_t type,
                                             unsigned long long since, nvmlValueType_t* value_type,
                                             unsigned int* count, nvmlSample_t* samples) {
  const Found found = FindDevice(device);
  if (!found) return found.error;
  if (value_type == nullptr || count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (samples != nullptr && *count == 0) return NVML_ERROR_INVALID_ARGUMENT;
  if (type != NVML_GPU_UTILIZATION_SAMPLES) return NVML_ERROR_NOT_SUPPORTED;
  *value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
  if (samples == nullptr) {
    *count = gpu::kUtilizationSamples;
    return NVML_SUCCESS;
  }
  const std::int64_t offset_us = WallOffsetUs();
  const unsigned int room = *count;
  *count = 0;
  for (const auto& one : gpu::UtilizationSamples(found.device->state->file(), gpu::NowNs())) {
    const unsigned long long stamp = StampOf(one, offset_us);
    if (stamp <= since || *count == room) continue;
    samples[*count] = {};
    samples[*count].timeStamp = stamp;
    samples[*count].sampleValue.uiVal = one.percent;
    ++*count;
  }
  return *count == 0 ? NVML_ERROR_NOT_FOUND : NVML_SUCCESS;
}
