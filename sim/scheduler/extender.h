#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <rapidjson/document.h>

#include "common/base/result.h"

namespace tessera::sim {

/// What an extender answered to filter.
struct FilterAnswer {
  std::vector<std::string> nodes;                   ///< NodeNames
  std::map<std::string, std::string> failed;        ///< FailedNodes: node -> reason
  std::map<std::string, std::string> unresolvable;  ///< FailedAndUnresolvableNodes
};

struct BindingArgs {
  std::string name;
  std::string name_space;
  std::string uid;
  std::string node;
};

/// kube-scheduler's view of a scheduler extender. Thread-safe. An Error of any call is its text, as
/// kube-scheduler would log it.
class Extender {
 public:
  virtual ~Extender() = default;
  virtual Result<FilterAnswer> Filter(const rapidjson::Value& pod,
                                      const std::vector<std::string>& nodes) = 0;
  /// Node -> score, as answered.
  virtual Result<std::map<std::string, std::int64_t>> Prioritize(
      const rapidjson::Value& pod, const std::vector<std::string>& nodes) = 0;
  virtual Result<void> Bind(const BindingArgs& args) = 0;
};

}  // namespace tessera::sim
