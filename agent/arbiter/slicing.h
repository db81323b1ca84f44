#pragma once

#include <cstdint>
#include <span>

#include "agent/arbiter/tenant.h"

namespace tessera::agent {

/// Whether those beside one that never rests are as well off with open gates, where the hardware
/// lets each process in for some 2 ms in turn, as with windows. They are if what they come for is
/// brief, so that it waits less for a slice than it would for a window; if it fits into their
/// shares; and if no cap takes more away than windows do: with open gates all count while the
/// hardware works for others, too. `windows`: they are handed out now. Pure.
bool SlicesServe(std::span<Tenant* const> tenants, std::uint64_t now_ns, bool windows);

}  // namespace tessera::agent
