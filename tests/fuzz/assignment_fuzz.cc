// What DecodeAssignment accepts, it writes back the same; what it refuses, it says why.
#include <cstdint>
#include <string_view>

#include "common/contract/assignment.h"
#include "tests/fuzz/check.h"

using namespace tessera;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = contract::DecodeAssignment({reinterpret_cast<const char*>(data), size});
  if (!read) {
    FUZZ_CHECK(!read.error().message.empty());
    return 0;
  }
  const auto again = contract::DecodeAssignment(contract::EncodeAssignment(*read));
  FUZZ_CHECK(again && *again == *read);
  FUZZ_CHECK(contract::BindingAnnotations(*read).size() ==
             1 + 2 * read->placement.containers.size());
  return 0;
}
