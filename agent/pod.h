#pragma once

#include <map>
#include <optional>
#include <string>

#include "common/contract/assignment.h"
#include "common/contract/limits.h"

namespace tessera::agent {

struct ContainerInfo {
  std::string name;
  bool running = false;
  bool ended = false;  ///< and will not run again, or not now
};

/// A pod of this node as far as the agent looks at it.
struct Pod {
  std::string uid;
  std::string space;  ///< namespace
  std::string name;
  bool finished = false;  ///< Succeeded or Failed: it holds nothing any more
  std::map<std::string, ContainerInfo> containers;  ///< by slot: "c0", "i1"
  std::optional<contract::Assignment> assignment;   ///< none: not a GPU pod, or `assignment_error`
  std::string assignment_error;
  /// By slot, as the annotations have them now; without those that cannot be read.
  std::map<std::string, contract::Limits> limits;

  std::string key() const { return space + "/" + name; }
};

}  // namespace tessera::agent
