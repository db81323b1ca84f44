#pragma once

#include <string_view>

#include "binpack/types.h"

namespace tessera::binpack {

/// True if `pattern` matches the model name; letter case never matters. Words are runs of letters
/// and digits, so "A100" and "A100 SXM4" match "NVIDIA A100-SXM4-40GB" and "A10" does not.
bool MatchesModel(const ModelPattern& pattern, std::string_view model);

/// True if the pod takes this GPU by its model and uuid.
bool Accepts(const DeviceSelector& selector, const GpuDevice& device);
/// The half of Accepts that looks at the model.
bool AcceptsModel(const DeviceSelector& selector, std::string_view model);

}  // namespace tessera::binpack
