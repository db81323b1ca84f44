#include "interceptor/overhead.h"

#include <unistd.h>

#include <atomic>

#include "interceptor/charge.h"
#include "interceptor/driver.h"
#include "interceptor/hot.h"

namespace tessera {
namespace {

constinit Ledger contexts;
constinit Ledger greens;

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

namespace greens_known {
[[TESSERA_HOT_WORD]] constinit std::atomic<unsigned int> count = 0;
}  // namespace greens_known

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
  session::IsOurs(static_cast<std::uint64_t>(getpid()), index, answer.charged);
  return answer;
}

Ledger& ContextLedger() { return contexts; }

ContextCharges TakeContext(CUcontext context) {
  ContextCharges taken;
  taken.itself.charged = contexts.Take(KeyOf(context), taken.itself.charge);
  taken.limits.charged = contexts.Take(LimitKey(context), taken.limits.charge);
  taken.left.charged = contexts.Take(LeftKey(context), taken.left.charge);
  return taken;
}

void PutBackContext(CUcontext context, const ContextCharges& charges) {
  Charge unused;
  if (charges.itself.charged) contexts.Insert(KeyOf(context), charges.itself.charge, unused);
  if (charges.limits.charged) contexts.Insert(LimitKey(context), charges.limits.charge, unused);
  if (charges.left.charged) contexts.Insert(LeftKey(context), charges.left.charge, unused);
}

void ReleaseContext(const ContextCharges& charges) {
  for (const auto* part : {&charges.itself, &charges.limits, &charges.left}) {
    if (part->charged) Release(part->charge);
  }
}

void KeepForPrimary(CUcontext primary, session::DeviceIndex device, std::uint64_t bytes) {
  if (bytes == 0) return;
  Charge left = {.account = static_cast<std::uint16_t>(device)};
  Charge unused;
  contexts.Take(LeftKey(primary), left);
  left.bytes += bytes;
  // Where there is no memory to remember it by, nobody would return it.
  if (!contexts.Insert(LeftKey(primary), left, unused)) Release(left);
}

bool RememberGreen(CUcontext shown, CUdevice ordinal, CUcontext home) {
  Charge replaced;
  const Charge entry = {.references = static_cast<std::uint32_t>(ordinal), .owner = KeyOf(home)};
  if (!greens.Insert(KeyOf(shown), entry, replaced)) return false;
  greens_known::count.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void ForgetGreen(CUcontext shown) {
  Charge entry;
  if (greens.Take(KeyOf(shown), entry)) greens_known::count.fetch_sub(1, std::memory_order_relaxed);
}

CUcontext greens_known::HomeOf(CUcontext context) {
  Charge entry;
  return greens.Find(KeyOf(context), entry) ? reinterpret_cast<CUcontext>(entry.owner) : context;
}

bool IsGreen(CUcontext context, CUdevice& ordinal) {
  Charge entry;
  if (greens_known::count.load(std::memory_order_relaxed) == 0) return false;
  if (!greens.Find(KeyOf(context), entry)) return false;
  ordinal = static_cast<CUdevice>(entry.references);
  return true;
}

void ForgetContextsAfterFork() {
  contexts.ForgetAfterFork();
  greens.ForgetAfterFork();
  greens_known::count.store(0, std::memory_order_relaxed);
}

}  // namespace tessera
