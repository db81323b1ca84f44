#include "tests/webhook/golden.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "common/json/json.h"
#include "common/json/json_patch.h"
#include "webhook/delivery.h"

namespace tessera::webhook {
namespace {

Options ReadOptions(std::string_view review) {
  Options options;
  options.library_image = "registry.example/tessera-library:0.1.0";
  options.library_host_path = "/opt/tessera/lib";
  options.delivery = Delivery::kImage;
  const auto document = json::Parse(review);
  const auto* stated = document ? json::Find(*document, "testOptions") : nullptr;
  if (stated == nullptr) return options;
  const auto text = [&](std::string_view name, std::string_view fallback) {
    return json::GetStringOr(*stated, name, fallback).value();
  };
  options.delivery = ParseDelivery(text("delivery", "image")).value();
  options.runtime_class = text("runtimeClass", "");
  options.allow_mps = text("allowMps", "") == "yes";
  options.scheduler_name = text("schedulerName", names::kSchedulerName);
  options.allow_memory_oversubscription = text("allowMemoryOversubscription", "false") == "true";
  return options;
}

}  // namespace

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<GoldenCase> LoadGoldenCases() {
  std::vector<GoldenCase> cases;
  const std::filesystem::path folder = TESSERA_SOURCE_DIR "/tests/golden/webhook";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string file = entry.path().filename().string();
    if (!file.ends_with(".json") || file.ends_with(".patch.json")) continue;
    GoldenCase golden;
    golden.name = entry.path().stem().string();
    golden.review = ReadText(entry.path().string());
    golden.options = ReadOptions(golden.review);
    golden.answer_file = (folder / (golden.name + ".patch.json")).string();
    cases.push_back(std::move(golden));
  }
  std::sort(cases.begin(), cases.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return cases;
}

std::string DescribeDecision(const Decision& decision) {
  if (!decision.allowed) {
    return "{\"allowed\":false,\"code\":" + std::to_string(decision.code) +
           ",\n \"message\":" + Quote(decision.message) + "}\n";
  }
  std::string text = "{\"allowed\":true,\"patch\":[";
  for (const Operation& operation : decision.patch) {
    if (&operation != &decision.patch.front()) text += ",";
    const std::string one = EncodePatch({operation});
    text += "\n " + one.substr(1, one.size() - 2);
  }
  return text + "]}\n";
}

std::string PatchReview(std::string_view review, const Patch& patch) {
  auto document = json::Parse(review).value();
  // The review's pod stands below /request/object, so the patch is applied there.
  Patch moved = patch;
  for (Operation& operation : moved) operation.path.insert(0, "/request/object");
  const auto operations = json::Parse(EncodePatch(moved)).value();
  const auto ok = json::ApplyPatch(document, operations);
  if (!ok) throw std::runtime_error("patch does not apply: " + ok.error().message);
  return json::Dump(document);
}

}  // namespace tessera::webhook
