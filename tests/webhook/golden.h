#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "webhook/admission.h"

/// The golden cases: tests/golden/webhook/<name>.json is an AdmissionReview (with our options under
/// "testOptions"), <name>.patch.json what admission answers.
namespace tessera::webhook {

struct GoldenCase {
  std::string name;
  std::string review;  ///< JSON text
  Options options;
  std::string answer_file;
};

std::vector<GoldenCase> LoadGoldenCases();
std::string ReadText(const std::string& path);

/// The decision as the answer files have it: one operation a line.
std::string DescribeDecision(const Decision& decision);

/// The review with its pod replaced by the patched one.
std::string PatchReview(std::string_view review, const Patch& patch);

}  // namespace tessera::webhook
