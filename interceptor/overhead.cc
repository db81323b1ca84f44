#include "interceptor/overhead.h"

#include <unistd.h>

#include "interceptor/charge.h"
#include "interceptor/driver.h"

namespace tessera {
namespace {

constinit Ledger contexts;

constexpr unsigned int kMaxListed = 256;

bool AskOwn(nvmlDevice_t device, std::uint64_t& bytes) {
  nvmlProcessInfo_t processes[kMaxListed];
  unsigned int count = kMaxListed;
  if (RealNvml().nvmlDeviceGetComputeRunningProcesses_v3(device, &count, processes) !=
      NVML_SUCCESS) {
    return false;
  }
  const auto self = static_cast<unsigned int>(getpid());
  for (unsigned int i = 0; i < count; ++i) {
    if (processes[i].pid != self) continue;
    bytes = processes[i].usedGpuMemory;
    return bytes < region::kMaxBytes;  // "not available" is all ones
  }
  return false;
}

}  // namespace

DeviceBytes AskNvml(session::DeviceIndex index) {
  DeviceBytes answer;
  const Nvml& nvml = RealNvml();
  if (index == session::kNoDevice || nvml.nvmlInit_v2() != NVML_SUCCESS) return answer;
  nvmlDevice_t device = nullptr;
  if (nvml.nvmlDeviceGetHandleByUUID(session::UuidOf(index), &device) == NVML_SUCCESS) {
    answer.of_process = AskOwn(device, answer.bytes);
    nvmlMemory_t memory = {};
    if (!answer.of_process && nvml.nvmlDeviceGetMemoryInfo(device, &memory) == NVML_SUCCESS) {
      answer.bytes = memory.used;
    }
  }
  nvml.nvmlShutdown();
  return answer;
}

void PutContext(CUcontext context, const Charge& charge) {
  Charge replaced;
  contexts.Insert(KeyOf(context), charge, replaced);
  Release(replaced);
}

bool TakeContext(CUcontext context, Charge& charge) {
  return contexts.Take(KeyOf(context), charge);
}

void ForgetContextsAfterFork() { contexts.ForgetAfterFork(); }

}  // namespace tessera
