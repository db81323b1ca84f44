// The readers of amounts agree with each other and stay within 64 bits.
#include <cstdint>
#include <string_view>

#include "common/contract/quantity.h"
#include "tests/fuzz/check.h"

using namespace tessera;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto whole = contract::ParseWhole(text);
  const auto mib = contract::ParseBytesAsMib(text);
  const auto count = contract::ParseMemoryCount(text, "MiB");
  FUZZ_CHECK(!whole || *whole >= 0);
  FUZZ_CHECK(!mib || *mib >= 1);
  FUZZ_CHECK(!count || (whole && *count == *whole));
  if (whole && mib) FUZZ_CHECK(*mib == *whole / (1 << 20) + (*whole % (1 << 20) != 0 ? 1 : 0));
  return 0;
}
