// Any text gets an answer: JSON with the uid, and either a patch that applies or a reason.
#include <cstdint>
#include <string_view>

#include "common/json/json.h"
#include "tests/fuzz/check.h"
#include "tests/webhook/golden.h"

using namespace tessera;
using namespace tessera::webhook;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Review review = ParseReview(text);
  for (const Delivery delivery : {Delivery::kImage, Delivery::kInit, Delivery::kHostPath}) {
    Options options;
    options.delivery = delivery;
    options.library_image = "library";
    options.library_host_path = "/library";
    const Decision decision = Admit(review, options);
    const auto answer = json::Parse(EncodeReview(review.uid, decision));
    FUZZ_CHECK(answer.has_value());
    const auto* response = json::Find(*answer, "response");
    FUZZ_CHECK(response != nullptr);
    FUZZ_CHECK(json::GetString(*response, "uid") == review.uid);
    FUZZ_CHECK(decision.allowed || !decision.message.empty());
    FUZZ_CHECK(decision.allowed || decision.patch.empty());
    // Throws, and so ends the process, if an operation does not apply.
    if (!decision.patch.empty()) FUZZ_CHECK(!PatchReview(text, decision.patch).empty());
  }
  return 0;
}
