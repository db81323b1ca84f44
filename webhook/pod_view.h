#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The parts of a pod that admission looks at or changes. Plain values, made by wire.h.
///
/// A missing array or map is std::nullopt, because a JSON patch must create it before it can add to
/// it. Elements that we may replace carry their JSON text, so that "is it what we want already" is
/// exact.
namespace tessera::webhook {

struct EnvVar {
  std::string name;
  std::optional<std::string> literal;  ///< `value`; nullopt if the variable has a valueFrom
  std::string json;
};

struct VolumeMount {
  std::string volume;
  std::string path;  ///< mountPath as written
  std::string json;
};

struct Volume {
  std::string name;
  std::string json;
};

/// Resource name -> quantity as written ("3000", "3k").
using Quantities = std::map<std::string, std::string, std::less<>>;
using StringMap = std::map<std::string, std::string, std::less<>>;

struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;
  bool privileged = false;
  std::optional<std::vector<EnvVar>> env;
  std::optional<std::vector<VolumeMount>> mounts;
  bool has_resources = false;
  std::optional<Quantities> limits;
  std::optional<Quantities> requests;
};

struct PodView {
  std::optional<StringMap> annotations;
  std::optional<StringMap> labels;
  std::string node_name;
  std::string scheduler_name;
  std::string runtime_class;
  std::optional<std::vector<Volume>> volumes;
  std::optional<std::vector<Container>> init_containers;
  std::vector<Container> containers;
  std::vector<Container> ephemeral_containers;
};

/// The three lists of a pod's containers.
enum class ContainerList { kApp, kInit, kEphemeral };

/// "containers", "initContainers", "ephemeralContainers".
constexpr std::string_view ListName(ContainerList list) {
  switch (list) {
    case ContainerList::kInit:
      return "initContainers";
    case ContainerList::kEphemeral:
      return "ephemeralContainers";
    case ContainerList::kApp:
      break;
  }
  return "containers";
}

/// Which container: spec.<list>[index].
struct ContainerRef {
  ContainerList list = ContainerList::kApp;
  int index = 0;

  bool operator==(const ContainerRef&) const = default;
};

}  // namespace tessera::webhook
