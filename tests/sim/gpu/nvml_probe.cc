// Asks NVML what it answers, as driver_probe.cc asks the driver. tests/sim/gpu/nvml_probe.h200 is
// what a real one said.
#include <cstdio>
#include <cstring>

#include "common/abi/nvml_more.h"

namespace {

void Say(const char* question, long long answer) { std::printf("%s: %lld\n", question, answer); }

void Library() {
  unsigned int count = 0;
  char text[96] = {};
  int version = 0;
  Say("count before init", nvmlDeviceGetCount_v2(&count));
  Say("shutdown before init", nvmlShutdown());
  Say("init", nvmlInit_v2());
  Say("init again", nvmlInitWithFlags(0));
  Say("shutdown", nvmlShutdown());
  Say("count after one shutdown", nvmlDeviceGetCount_v2(&count));
  Say("count null", nvmlDeviceGetCount_v2(nullptr));
  Say("driver version", nvmlSystemGetDriverVersion(text, sizeof(text)));
  Say("driver version short", nvmlSystemGetDriverVersion(text, 2));
  Say("driver version null", nvmlSystemGetDriverVersion(nullptr, 80));
  Say("cuda version", nvmlSystemGetCudaDriverVersion_v2(&version));
  Say("cuda version value", version);
  Say("cuda version null", nvmlSystemGetCudaDriverVersion(nullptr));
  for (int code = 0; code <= 28; ++code) {
    const auto result = static_cast<nvmlReturn_t>(code);
    if (code == 8 || code == 11 || code == 14 || code == 22 || code == 24 || code == 26) continue;
    std::printf("error %d: %s\n", code, nvmlErrorString(result));
  }
}

nvmlDevice_t First() {
  nvmlDevice_t device = nullptr;
  nvmlDeviceGetHandleByIndex_v2(0, &device);
  return device;
}

void Identity() {
  nvmlDevice_t device = nullptr;
  char text[96] = {};
  unsigned int number = 0;
  nvmlPciInfo_t pci{};
  Say("index 99", nvmlDeviceGetHandleByIndex_v2(99, &device));
  Say("index null", nvmlDeviceGetHandleByIndex_v2(0, nullptr));
  Say("uuid unknown",
      nvmlDeviceGetHandleByUUID("GPU-00000000-0000-0000-0000-000000000000", &device));
  Say("uuid nonsense", nvmlDeviceGetHandleByUUID("nonsense", &device));
  Say("uuid null", nvmlDeviceGetHandleByUUID(nullptr, &device));
  Say("uuid of null", nvmlDeviceGetUUID(nullptr, text, sizeof(text)));
  Say("uuid short", nvmlDeviceGetUUID(First(), text, 8));
  Say("uuid", nvmlDeviceGetUUID(First(), text, sizeof(text)));
  Say("uuid length", static_cast<long long>(std::strlen(text)));
  Say("by uuid", nvmlDeviceGetHandleByUUID(text, &device));
  Say("by uuid same", device == First());
  Say("pci", nvmlDeviceGetPciInfo_v3(First(), &pci));
  Say("pci length", static_cast<long long>(std::strlen(pci.busId)));
  Say("pci legacy length", static_cast<long long>(std::strlen(pci.busIdLegacy)));
  Say("by pci", nvmlDeviceGetHandleByPciBusId_v2(pci.busId, &device));
  Say("by legacy pci", nvmlDeviceGetHandleByPciBusId_v2(pci.busIdLegacy, &device));
  Say("by unknown pci", nvmlDeviceGetHandleByPciBusId_v2("00000000:77:00.0", &device));
  Say("name short", nvmlDeviceGetName(First(), text, 2));
  Say("index", nvmlDeviceGetIndex(First(), &number));
  Say("minor null", nvmlDeviceGetMinorNumber(First(), nullptr));
}

void Use() {
  nvmlMemory_t memory{};
  nvmlMemory_v2_t wide{};
  nvmlUtilization_t utilization{};
  nvmlProcessUtilizationSample_t samples[8];
  nvmlProcessInfo_t infos[8];
  unsigned int number = 0;
  unsigned long long types = 0;
  Say("memory null", nvmlDeviceGetMemoryInfo(First(), nullptr));
  Say("memory", nvmlDeviceGetMemoryInfo(First(), &memory));
  Say("memory v2 without version", nvmlDeviceGetMemoryInfo_v2(First(), &wide));
  wide.version = nvmlMemory_v2;
  Say("memory v2", nvmlDeviceGetMemoryInfo_v2(First(), &wide));
  Say("memory v2 adds up", wide.total == wide.used + wide.free + wide.reserved);
  Say("memory v1 adds up", memory.total == memory.used + memory.free);
  Say("utilization", nvmlDeviceGetUtilizationRates(First(), &utilization));
  Say("utilization idle", utilization.gpu);
  number = 8;
  Say("process utilization idle", nvmlDeviceGetProcessUtilization(First(), samples, &number, 0));
  number = 0;
  Say("processes of none", nvmlDeviceGetComputeRunningProcesses_v3(First(), &number, nullptr));
  number = 8;
  Say("processes", nvmlDeviceGetComputeRunningProcesses_v3(First(), &number, infos));
  Say("processes count null", nvmlDeviceGetComputeRunningProcesses_v3(First(), nullptr, infos));
  Say("temperature", nvmlDeviceGetTemperature(First(), NVML_TEMPERATURE_GPU, &number));
  Say("power", nvmlDeviceGetPowerUsage(First(), &number));
  Say("power null", nvmlDeviceGetPowerUsage(First(), nullptr));
  Say("event types", nvmlDeviceGetSupportedEventTypes(First(), &types));
  Say("event types have xid", (types & nvmlEventTypeXidCriticalError) != 0);
}

void Events() {
  nvmlEventSet_t set = nullptr;
  nvmlEventData_t data{};
  Say("event set null", nvmlEventSetCreate(nullptr));
  Say("event set", nvmlEventSetCreate(&set));
  Say("register null device",
      nvmlDeviceRegisterEvents(nullptr, nvmlEventTypeXidCriticalError, set));
  Say("register", nvmlDeviceRegisterEvents(First(), nvmlEventTypeXidCriticalError, set));
  Say("register unknown type", nvmlDeviceRegisterEvents(First(), 1ULL << 60, set));
  Say("wait 20 ms", nvmlEventSetWait_v2(set, &data, 20));
  Say("wait null data", nvmlEventSetWait_v2(set, nullptr, 20));
  Say("free", nvmlEventSetFree(set));
  Say("shutdown at last", nvmlShutdown());
  Say("shutdown once more", nvmlShutdown());
  Say("count after shutdown", nvmlDeviceGetMinorNumber(nullptr, nullptr));
}

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Library();
  Identity();
  Use();
  Events();
  return 0;
}
