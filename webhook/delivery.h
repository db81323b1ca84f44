#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "webhook/options.h"
#include "webhook/pod_view.h"

namespace tessera::webhook {

/// "image", "init", "hostPath".
std::string_view DeliveryName(Delivery delivery);
std::optional<Delivery> ParseDelivery(std::string_view name);

/// What `auto` picks for the API server's GET /version: image volumes are on by default from 1.35.
/// Vendors write "35+". Errors (kInvalidArgument): `version` is not what /version answers.
Result<Delivery> DeliveryForVersion(std::string_view version_json);

/// The volume `tessera-library` as JSON text.
std::string LibraryVolume(const Options& options);

/// The init container of kInit, which copies the library into the volume, as it stands in the pod.
struct Installer {
  Container container;
  std::string json;
};
Installer MakeInstaller(const Options& options);

/// True for an init container that does what MakeInstaller's does. Others may have added to it (a
/// service account's token, variables of an injector).
bool IsInstaller(const Container& container, const Options& options);

}  // namespace tessera::webhook
