#pragma once

#include "webhook/options.h"
#include "webhook/wire.h"

namespace tessera::webhook {

/// Decides about one request: refuse with a reason, allow unchanged, or allow with a patch. Pure.
Decision Admit(const AdmissionRequest& request, const Options& options);

}  // namespace tessera::webhook
