#include "sim/probe/device_probe.h"

#include "common/json/json.h"
#include "sim/probe/search.h"

namespace tessera::probe {
namespace {

using std::chrono::steady_clock;

/// Runs for `ns` nanoseconds. PTX, so that every GPU can run it.
constexpr const char* kSpinModule = R"(.version 6.0
.target sm_52
.address_size 64
.visible .entry spin(.param .u64 ns)
{
  .reg .pred %p<2>;
  .reg .u64 %rd<4>;
  ld.param.u64 %rd1, [ns];
  mov.u64 %rd2, %globaltimer;
AGAIN:
  mov.u64 %rd3, %globaltimer;
  sub.u64 %rd3, %rd3, %rd2;
  setp.lt.u64 %p1, %rd3, %rd1;
  @%p1 bra AGAIN;
  ret;
}
)";
constexpr int kLaunchesInFlight = 4;

std::string UuidText(const CUuuid& uuid) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    const auto byte = static_cast<unsigned char>(uuid.bytes[i]);
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

/// The steps of a probe. Each returns false if the next ones make no sense.
class Probing {
 public:
  Probing(DeviceReport& report, const Options& options) : report_(report), options_(options) {}

  bool Open() {
    CUuuid uuid{};
    char name[256] = "";
    std::size_t device_total = 0;
    CUcontext context = nullptr;
    if (!Ok("cuDeviceGet", cuDeviceGet(&device_, report_.ordinal)) ||
        !Ok("cuDeviceGetUuid", cuDeviceGetUuid_v2(&uuid, device_)) ||
        !Ok("cuDeviceGetName", cuDeviceGetName(name, sizeof name, device_)) ||
        !Ok("cuDeviceTotalMem", cuDeviceTotalMem_v2(&device_total, device_)) ||
        !Ok("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device_)) ||
        !Ok("cuCtxSetCurrent", cuCtxSetCurrent(context)) ||
        !Ok("cuModuleLoadData", cuModuleLoadData(&module_, kSpinModule)) ||
        !Ok("cuModuleGetFunction", cuModuleGetFunction(&spin_, module_, "spin"))) {
      return false;
    }
    report_.uuid = UuidText(uuid);
    report_.name = name;
    report_.device_total_bytes = device_total;
    return ReadMemory(report_.free_before_bytes);
  }

  bool Fill() {
    CUresult refusal = CUDA_SUCCESS;
    const auto allocate = [&](std::size_t bytes) -> Allocation {
      CUdeviceptr pointer = 0;
      const CUresult result = cuMemAlloc_v2(&pointer, bytes);
      if (result == CUDA_SUCCESS) return {Outcome::kAllocated, pointer, 0};
      refusal = result;
      if (result == CUDA_ERROR_OUT_OF_MEMORY) return {Outcome::kOutOfMemory, 0, 0};
      return {Outcome::kOtherError, 0, static_cast<int>(result)};
    };
    const FillResult filled = probe::Fill(allocate, options_.chunk_bytes, options_.smallest_bytes);
    last_ = filled.blocks.empty() ? Block{} : filled.blocks.back();
    report_.blocks = filled.blocks.size();
    report_.held_bytes = filled.held_bytes;
    report_.refused_with = ErrorName(refusal);
    if (filled.other_error != 0) Problem("cuMemAlloc was refused with " + report_.refused_with);
    if (filled.blocks.empty()) Problem("no memory could be allocated at all");
    return ReadMemory(report_.free_after_bytes);
  }

  void Judge() {
    const std::uint64_t free = report_.free_before_bytes;
    report_.exact =
        report_.held_bytes <= free && free - report_.held_bytes < options_.smallest_bytes;
    if (report_.total_bytes != report_.device_total_bytes) {
      Problem("cuMemGetInfo and cuDeviceTotalMem tell different totals");
    }
    if (report_.held_bytes > report_.total_bytes) Problem("more was got than the total");
    if (options_.exact && !report_.exact) Problem("what was got is not what was told to be free");
  }

  void FreeAndAllocateAgain() {
    if (last_.bytes == 0 || !Ok("cuMemFree", cuMemFree_v2(last_.handle))) return;
    CUdeviceptr again = 0;
    report_.reallocated = Ok("cuMemAlloc after cuMemFree", cuMemAlloc_v2(&again, last_.bytes));
    if (!report_.reallocated) return;
    CUdeviceptr more = 0;
    const CUresult refused = cuMemAlloc_v2(&more, options_.smallest_bytes);
    if (options_.exact && refused != CUDA_ERROR_OUT_OF_MEMORY) {
      Problem("after free and allocate, one more block gave " + ErrorName(refused));
    }
  }

  void Spin() {
    auto nanoseconds = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(options_.kernel).count());
    void* params[] = {&nanoseconds};
    const auto start = steady_clock::now();
    while (steady_clock::now() - start < options_.spin) {
      for (int i = 0; i < kLaunchesInFlight; ++i) {
        if (!Ok("cuLaunchKernel",
                cuLaunchKernel(spin_, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr))) {
          return;
        }
        ++report_.kernels;
      }
      if (!Ok("cuCtxSynchronize", cuCtxSynchronize())) return;
    }
    report_.kernel_us = static_cast<std::uint64_t>(options_.kernel.count());
    report_.spin_wall_us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - start).count());
  }

 private:
  bool Ok(const char* call, CUresult result) {
    if (result == CUDA_SUCCESS) return true;
    Problem(std::string(call) + ": " + ErrorName(result));
    return false;
  }
  void Problem(std::string text) { report_.problems.push_back(std::move(text)); }
  bool ReadMemory(std::uint64_t& free) {
    std::size_t free_now = 0;
    std::size_t total = 0;
    if (!Ok("cuMemGetInfo", cuMemGetInfo_v2(&free_now, &total))) return false;
    free = free_now;
    report_.total_bytes = total;
    return true;
  }

  DeviceReport& report_;
  const Options& options_;
  CUdevice device_ = 0;
  CUmodule module_ = nullptr;
  CUfunction spin_ = nullptr;
  Block last_;
};

void WriteDevice(json::Writer& writer, const DeviceReport& device) {
  const auto number = [&writer](const char* key, std::uint64_t value) {
    writer.Key(key);
    writer.Int(static_cast<std::int64_t>(value));
  };
  writer.StartObject();
  writer.Key("ordinal");
  writer.Int(device.ordinal);
  writer.Key("uuid");
  writer.String(device.uuid);
  writer.Key("name");
  writer.String(device.name);
  number("totalBytes", device.total_bytes);
  number("freeBeforeBytes", device.free_before_bytes);
  number("heldBytes", device.held_bytes);
  number("freeAfterBytes", device.free_after_bytes);
  number("blocks", device.blocks);
  writer.Key("refusedWith");
  writer.String(device.refused_with);
  writer.Key("exact");
  writer.Bool(device.exact);
  writer.Key("reallocated");
  writer.Bool(device.reallocated);
  number("kernels", device.kernels);
  number("kernelUs", device.kernel_us);
  number("spinWallUs", device.spin_wall_us);
  writer.EndObject();
}

}  // namespace

std::string ErrorName(CUresult result) {
  const char* name = nullptr;
  if (cuGetErrorName(result, &name) == CUDA_SUCCESS && name != nullptr) return name;
  return "CUDA error " + std::to_string(static_cast<int>(result));
}

DeviceReport ProbeDevice(int ordinal, const Options& options) {
  DeviceReport report;
  report.ordinal = ordinal;
  Probing probing(report, options);
  if (!probing.Open() || !probing.Fill()) return report;
  probing.Judge();
  probing.FreeAndAllocateAgain();
  if (options.spin.count() > 0) probing.Spin();
  return report;
}

std::string ReportLine(const std::vector<DeviceReport>& devices,
                       const std::vector<std::string>& problems) {
  std::vector<std::string> all = problems;
  for (const auto& device : devices) {
    for (const auto& problem : device.problems) {
      all.push_back("GPU " + std::to_string(device.ordinal) + ": " + problem);
    }
  }
  json::Writer writer;
  writer.StartObject();
  writer.Key("probe");
  writer.Int(1);
  writer.Key("ok");
  writer.Bool(all.empty());
  writer.Key("problems");
  writer.StartArray();
  for (const auto& problem : all) writer.String(problem);
  writer.EndArray();
  writer.Key("devices");
  writer.StartArray();
  for (const auto& device : devices) WriteDevice(writer, device);
  writer.EndArray();
  writer.EndObject();
  return writer.Take();
}

}  // namespace tessera::probe
