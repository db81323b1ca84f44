#include "webhook/delivery.h"

#include <algorithm>
#include <charconv>

#include "common/json/json.h"
#include "webhook/json_parts.h"
#include "webhook/patch.h"

namespace tessera::webhook {
namespace {

constexpr int kFirstMinorWithImageVolumes = 35;
/// What the library takes on disk, with room to grow; the kubelet evicts a pod that writes more.
constexpr std::string_view kLibrarySizeLimit = "64Mi";

/// The digits at the start of "35+".
Result<int> LeadingNumber(const std::string& text, std::string_view name) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) {
    return Fail(Errc::kInvalidArgument,
                std::string(name) + " must start with a number, not \"" + text + "\"");
  }
  return number;
}

std::string InstallerJson(const Container& installer, std::string_view mount) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("name");
  writer.String(installer.name);
  writer.Key("image");
  writer.String(installer.image);
  writer.Key("imagePullPolicy");
  writer.String("IfNotPresent");
  writer.Key("command");
  writer.StartArray();
  for (const std::string& word : installer.command) writer.String(word);
  writer.EndArray();
  // Quota and LimitRange look at every container; so does the "restricted" Pod Security Standard.
  writer.Key("resources");
  writer.Raw(
      R"({"limits":{"cpu":"100m","memory":"32Mi"},"requests":{"cpu":"10m","memory":"16Mi"}})");
  writer.Key("securityContext");
  writer.Raw(
      R"({"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true,)"
      R"("runAsNonRoot":true,"runAsUser":65532,"seccompProfile":{"type":"RuntimeDefault"}})");
  writer.Key("env");
  writer.StartArray();
  for (const EnvVar& variable : *installer.env) writer.Raw(variable.json);
  writer.EndArray();
  writer.Key("volumeMounts");
  writer.StartArray();
  writer.Raw(mount);
  writer.EndArray();
  writer.EndObject();
  return writer.Take();
}

}  // namespace

std::string_view DeliveryName(Delivery delivery) {
  switch (delivery) {
    case Delivery::kImage:
      return "image";
    case Delivery::kInit:
      return "init";
    case Delivery::kHostPath:
      return "hostPath";
  }
  return "unknown";
}

std::optional<Delivery> ParseDelivery(std::string_view name) {
  for (const Delivery delivery : {Delivery::kImage, Delivery::kInit, Delivery::kHostPath}) {
    if (DeliveryName(delivery) == name) return delivery;
  }
  return std::nullopt;
}

Result<Delivery> DeliveryForVersion(std::string_view version_json) {
  TESSERA_TRY(const auto document, json::Parse(version_json));
  TESSERA_TRY(const auto major_text, json::GetString(document, "major"));
  TESSERA_TRY(const auto minor_text, json::GetString(document, "minor"));
  TESSERA_TRY(const int major_number, LeadingNumber(major_text, "major"));
  TESSERA_TRY(const int minor_number, LeadingNumber(minor_text, "minor"));
  const bool has_images =
      major_number > 1 || (major_number == 1 && minor_number >= kFirstMinorWithImageVolumes);
  return has_images ? Delivery::kImage : Delivery::kInit;
}

std::string LibraryVolume(const Options& options) {
  switch (options.delivery) {
    case Delivery::kImage:
      return ImageVolume(names::kVolumeLibrary, options.library_image);
    case Delivery::kHostPath:
      return HostPathVolume(names::kVolumeLibrary, options.library_host_path);
    case Delivery::kInit:
      break;
  }
  return DiskVolume(names::kVolumeLibrary, kLibrarySizeLimit);
}

Installer MakeInstaller(const Options& options) {
  const std::string mount = Mount(names::kVolumeLibrary, names::kLibraryDir, /*read_only=*/false);
  Installer installer;
  Container& container = installer.container;
  container.name = names::kInstallContainer;
  container.image = options.library_image;
  container.command = {"cp", std::string("/") + names::kLibraryName, names::kLibraryPath};
  container.has_resources = true;
  container.env.emplace().push_back(
      {names::kEnvVisibleDevices, "void", EnvLiteral(names::kEnvVisibleDevices, "void")});
  container.mounts.emplace().push_back(
      {std::string(names::kVolumeLibrary), names::kLibraryDir, mount});
  installer.json = InstallerJson(container, mount);
  return installer;
}

bool IsInstaller(const Container& container, const Options& options) {
  if (options.delivery != Delivery::kInit || container.name != names::kInstallContainer) {
    return false;
  }
  const Container wanted = MakeInstaller(options).container;
  if (container.image != wanted.image || container.command != wanted.command) return false;
  return container.mounts &&
         std::any_of(container.mounts->begin(), container.mounts->end(), [&](const auto& mount) {
           return SameJson(mount.json, wanted.mounts->front().json);
         });
}

}  // namespace tessera::webhook
