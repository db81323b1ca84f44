#pragma once

#include <cstdint>
#include <span>

#include "agent/arbiter/tenant.h"

namespace tessera::agent {

/// Whether one that never rests and those beside it may do with open gates instead of windows: the
/// hardware then lets each process in for some 2 ms in turn. They may if equal parts leave the
/// first what is its own, whatever the others tell of themselves; if what they come for is brief,
/// so that it waits less for a slice than it would for a window, and comes seldom; and if no cap
/// takes more away than windows do, since with open gates all count while the hardware works for
/// others, too. `begun`: so it has been decided, and they are watched since (WatchSlices); what
/// they do in windows is measured otherwise. Pure.
bool SlicesServe(std::span<Tenant* const> tenants, std::uint64_t now_ns, bool begun);

/// Whether their work is still brief is to be seen with open gates, too, each millisecond or so.
/// `among`: so many were active lately.
void WatchSlices(std::span<Tenant* const> tenants, std::uint64_t now_ns, unsigned among);

}  // namespace tessera::agent
