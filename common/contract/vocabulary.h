#pragma once

#include <optional>
#include <string_view>

#include "binpack/types.h"

/// The words for our enumerations, as annotations and records have them. Parse… gives nothing for
/// another word.
namespace tessera::contract {

/// "fixed-share", "burst-share", "best-effort".
std::string_view ComputePolicyName(binpack::ComputePolicy policy);
std::optional<binpack::ComputePolicy> ParseComputePolicy(std::string_view name);

/// "shared", "exclusive".
std::string_view IsolationName(binpack::Isolation isolation);
std::optional<binpack::Isolation> ParseIsolation(std::string_view name);

/// "app", "init", "sidecar".
std::string_view ContainerKindName(binpack::ContainerKind kind);
std::optional<binpack::ContainerKind> ParseContainerKind(std::string_view name);

}  // namespace tessera::contract
