// Any JSON is a request within bounds, or an error that says why.
#include <cstdint>
#include <string_view>

#include "common/contract/pod_request.h"
#include "common/json/json.h"
#include "tests/fuzz/check.h"

using namespace tessera;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto pod = json::Parse({reinterpret_cast<const char*>(data), size});
  if (!pod) return 0;
  const auto request = contract::DecodePodRequest(*pod);
  if (!request) {
    FUZZ_CHECK(!request.error().message.empty());
    return 0;
  }
  for (const auto& container : request->containers) {
    const auto& gpu = container.gpu;
    FUZZ_CHECK(gpu.count >= 1 && gpu.count <= binpack::kMaxGpusPerNode);
    FUZZ_CHECK((gpu.memory_mib > 0) != (gpu.memory_percent > 0));
    FUZZ_CHECK(gpu.memory_mib <= binpack::kMaxMemoryMib && gpu.memory_percent <= 100);
    FUZZ_CHECK(gpu.cores_percent >= 0 && gpu.cores_percent <= binpack::kWholeGpuCores);
    FUZZ_CHECK(contract::CanonicalResources(gpu).size() == 3);
  }
  FUZZ_CHECK(contract::AnnotatedContainer(*pod).has_value());
  return 0;
}
