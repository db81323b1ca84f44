// The interceptor's limits text: what is accepted is within bounds and survives being written
// again.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "interceptor/limits.h"
#include "tests/fuzz/check.h"

using namespace tessera;

namespace {

constexpr const char* kPolicies[] = {"fixed-share", "burst-share", "best-effort"};

std::string Write(const Limits& limits) {
  std::string text = std::string("v1 ") + kPolicies[static_cast<int>(limits.policy)];
  for (std::size_t i = 0; i < limits.count; ++i) {
    const region::DeviceConfig& device = limits.devices[i];
    text += std::string(" ") + device.uuid + ":" + std::to_string(device.limit_bytes >> 20) + ":" +
            std::to_string(device.cores_percent);
    if (device.host_bytes != 0) text += ":" + std::to_string(device.host_bytes >> 20);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Limits limits;
  if (ParseLimits(text, limits) != nullptr) return 0;
  FUZZ_CHECK(limits.count >= 1 && limits.count <= region::kMaxDevices);
  for (std::size_t i = 0; i < limits.count; ++i) {
    const region::DeviceConfig& device = limits.devices[i];
    FUZZ_CHECK(device.limit_bytes >= 1u << 20 && device.limit_bytes <= region::kMaxBytes);
    FUZZ_CHECK(device.cores_percent <= 100);
    FUZZ_CHECK(device.host_bytes == 0 ||
               (device.host_bytes >= 1u << 20 && device.host_bytes <= region::kMaxBytes));
    FUZZ_CHECK(memchr(device.uuid, '\0', sizeof(device.uuid)) != nullptr && device.uuid[0] != '\0');
  }
  const std::string again = Write(limits);
  FUZZ_CHECK(again == text || again + "\n" == text);
  return 0;
}
