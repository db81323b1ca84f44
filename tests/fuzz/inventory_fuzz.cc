// What DecodeInventory accepts, it writes back the same; what it refuses, it says why.
#include <cstdint>
#include <string_view>

#include "common/contract/inventory.h"
#include "tests/fuzz/check.h"

using namespace tessera;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = contract::DecodeInventory({reinterpret_cast<const char*>(data), size});
  if (!read) {
    FUZZ_CHECK(!read.error().message.empty());
    return 0;
  }
  const auto again = contract::DecodeInventory(contract::EncodeInventory(*read));
  FUZZ_CHECK(again && *again == *read);
  return 0;
}
