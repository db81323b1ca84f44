// Any body is BindingArgs with names that are safe in a path, or an error that says why.
#include <cstdint>
#include <string_view>

#include "common/json/json.h"
#include "extender/wire.h"
#include "extender/wire_objects.h"
#include "tests/fuzz/check.h"

using namespace tessera;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto args = extender::ParseBindingArgs({reinterpret_cast<const char*>(data), size});
  if (!args) {
    FUZZ_CHECK(!args.error().message.empty());
    FUZZ_CHECK(json::Parse(extender::BindingResultJson(args.error().message)));
    return 0;
  }
  FUZZ_CHECK(extender::IsObjectName(args->name) && extender::IsObjectName(args->ns));
  FUZZ_CHECK(!args->uid.empty() && !args->node.empty());
  FUZZ_CHECK(json::Parse(
      extender::BindingJson({args->ns, args->name, args->uid}, args->node, {{"k", args->uid}})));
  return 0;
}
