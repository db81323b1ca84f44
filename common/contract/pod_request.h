#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rapidjson/document.h>

#include "binpack/types.h"
#include "common/base/result.h"

namespace tessera::contract {

/// What a pod asks of us, from its annotations and resources, ours or HAMi's, Aliyun gpushare's and
/// Volcano's names. A pod that asks for no GPU gives an empty request.
///
/// The one reading of a pod: the webhook normalises by it, the extender places by it, and
/// normalising does not change the answer. Errors (kInvalidArgument) name the annotation or the
/// resource path: "annotation tessera.dev/gpu-memory: \"3 apples\" is not a quantity". The rules:
/// common/contract/README.md.
Result<binpack::PodRequest> DecodePodRequest(const rapidjson::Value& pod);

/// The name of the container that gpu-count, gpu-memory and gpu-cores speak of; nothing if the pod
/// has none of the three. Normalising writes it into the annotation tessera.dev/container, so that
/// a container which another webhook puts in front later does not change who is meant.
Result<std::optional<std::string>> AnnotatedContainer(const rapidjson::Value& pod);

/// The resources (name, integer value) that a normalised container states in its limits for
/// `request`. Together they leave nothing open: reading them back gives `request`.
std::vector<std::pair<std::string, std::int64_t>> CanonicalResources(
    const binpack::GpuRequest& request);

/// True for GPU resource names of the dialects we read, which normalisation removes (not our own).
bool IsForeignGpuResource(std::string_view resource);

}  // namespace tessera::contract
