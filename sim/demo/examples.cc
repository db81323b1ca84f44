#include "sim/demo/examples.h"

#include <algorithm>
#include <iterator>
#include <system_error>

#include "common/json/json.h"
#include "sim/demo/layout.h"
#include "sim/demo/yaml_config.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExpectLabel = "tessera-demo/expect";

Result<Example> ParseExample(const std::string& text) {
  Example example;
  TESSERA_TRY(example.asked, json::Parse(text));
  rapidjson::Document& pod = example.asked;
  if (TextAt(pod, {"kind"}) != "Pod") return Fail(Errc::kInvalidArgument, "kind must be Pod");
  if (TextAt(pod, {"metadata", "name"}).empty()) {
    return Fail(Errc::kInvalidArgument, "metadata.name must be a string");
  }
  rapidjson::Value& metadata = pod.FindMember("metadata")->value;
  if (json::Find(metadata, "namespace") == nullptr) {
    metadata.AddMember("namespace", "default", pod.GetAllocator());
  }
  example.key = KeyOf(pod);
  example.path = PodPath(pod);
  example.must_stay_pending = TextAt(pod, {"metadata", "labels", kExpectLabel}) == "pending";
  return example;
}

}  // namespace

Result<std::vector<Example>> ParseExamples(const std::string& file, const std::string& yaml) {
  auto documents = YamlToJson(yaml);
  if (!documents) return Wrap(documents.error(), file);
  std::vector<Example> examples;
  for (const std::string& text : *documents) {
    auto example = ParseExample(text);
    if (!example) return Wrap(example.error(), file);
    example->file = file;
    examples.push_back(*std::move(example));
  }
  return examples;
}

Result<std::vector<Example>> ReadExamples(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Example> examples;
  for (const fs::path& file : files) {
    TESSERA_TRY(auto of_file, ParseExamples(file.filename().string(), ReadText(file)));
    std::move(of_file.begin(), of_file.end(), std::back_inserter(examples));
  }
  if (examples.empty()) return Fail(Errc::kNotFound, folder.string() + ": no Pods in it");
  return examples;
}

}  // namespace tessera::sim
