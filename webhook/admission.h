#pragma once

#include <string_view>

#include "webhook/options.h"
#include "webhook/wire.h"

namespace tessera::webhook {

/// Decides about one review: refuse with a reason, allow unchanged, or allow with a patch. Pure. A
/// review that cannot be read is refused: what is let through unread would run unlimited.
Decision Admit(const Review& review, const Options& options);

/// "allowed", "patched", "refused" or "malformed": the label of the metric.
std::string_view OutcomeName(const Decision& decision);

}  // namespace tessera::webhook
