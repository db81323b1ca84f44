#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "webhook/patch.h"
#include "webhook/pod_view.h"

namespace tessera::webhook {

/// Brings a pod to a wanted state by targeted edits and records them as a JSON patch.
///
/// Each call says what should be there. What is there already gives no operation, so applying the
/// recorded patch and asking for the same again records nothing: idempotence needs no marker. The
/// view follows the edits, so indexes in later calls are those of the patched pod. Missing parents
/// are created first. One thread only.
class PodEditor {
 public:
  explicit PodEditor(PodView pod) : pod_(std::move(pod)) {}
  const PodView& pod() const { return pod_; }
  const Patch& patch() const { return patch_; }

  void SetAnnotation(std::string_view key, std::string_view value);
  void SetLabel(std::string_view key, std::string_view value);
  void SetSchedulerName(std::string_view name);
  void SetRuntimeClass(std::string_view name);

  /// `json` is the whole volume, its name included.
  void SetVolume(std::string_view name, std::string_view json);
  void RemoveVolumes(const std::function<bool(std::string_view name)>& unwanted);

  /// `container` (whose JSON text is `json`) becomes spec.initContainers[0]; the others move up by
  /// one.
  void InsertFirstInitContainer(Container container, std::string_view json);
  void RemoveInitContainer(int index);

  /// Exactly one variable `name`, as `json` says. With several of that name the last one's place is
  /// kept, because that is the one a kubelet uses.
  void SetEnv(ContainerRef ref, std::string_view name, std::string_view json);
  /// Exactly one mount at `path` (compared after CleanPath), as `json` says.
  void SetMount(ContainerRef ref, std::string_view path, std::string_view volume,
                std::string_view json);

  enum class Section { kLimits, kRequests };
  /// Quantities are compared by value: "3k" is 3000.
  void SetResource(ContainerRef ref, Section section, std::string_view name, std::int64_t value);
  void RemoveResource(ContainerRef ref, Section section, std::string_view name);

  Container& At(ContainerRef ref);

 private:
  void SetMetadata(std::string_view map, std::optional<StringMap>& entries, std::string_view key,
                   std::string_view value);
  void Add(std::string path, std::string value);
  void Replace(std::string path, std::string value);
  void Remove(std::string path);

  PodView pod_;
  Patch patch_;
};

/// "/run/tessera" from "/run//tessera/": what a mount path means.
std::string CleanPath(std::string_view path);

}  // namespace tessera::webhook
