#pragma once

#include <string>

#include <rapidjson/document.h>

#include "common/base/result.h"
#include "common/contract/gpu_statement.h"

namespace tessera::contract {

/// What one container's resources say in all the dialects that we read. `path` is where the
/// container stands: "spec.containers[0]". An unknown resource under tessera.dev/ is an error that
/// lists the known ones.
Result<GpuStatement> ReadResources(const rapidjson::Value& container, const std::string& path);

}  // namespace tessera::contract
