#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <rapidjson/document.h>

#include "common/base/result.h"

namespace tessera::sim {

/// One Pod of manifests/examples, as its user wrote it.
struct Example {
  std::string file;
  std::string key;   ///< namespace/name
  std::string path;  ///< of the object in the API
  rapidjson::Document asked;
  /// Label tessera-demo/expect: pending. It must not be scheduled.
  bool must_stay_pending = false;
};

/// The Pods of one YAML text; a pod without a namespace goes to "default". Pure. Errors start with
/// `file`.
Result<std::vector<Example>> ParseExamples(const std::string& file, const std::string& yaml);

/// All *.yaml files of a folder, in the order of their names. Errors: kNotFound if there is no Pod.
Result<std::vector<Example>> ReadExamples(const std::filesystem::path& folder);

}  // namespace tessera::sim
