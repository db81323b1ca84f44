#pragma once

namespace tessera::kube {

/// Uniform in [0, 1). Thread-safe. For spreading load, not for secrets.
double RandomUnit();

}  // namespace tessera::kube
