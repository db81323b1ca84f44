#include "agent/arbiter/contention.h"

#include "agent/arbiter/slicing.h"

namespace tessera::agent {
namespace {

ModeChooser::Seen Contenders(std::uint64_t now_ns, std::span<Tenant* const> tenants) {
  ModeChooser::Seen seen;
  for (const Tenant* tenant : tenants) {
    if (!tenant->seen.attached) continue;
    const int percent = tenant->seen.percent;
    seen.has_shares = seen.has_shares || tenant->best_effort() || (percent > 0 && percent < 100);
    if (!tenant->ActiveWithin(kLatelyNs, now_ns)) continue;
    ++seen.lately;
    seen.contending += tenant->ActiveWithin(kContendingNs, now_ns) ? 1 : 0;
    seen.pressing = seen.pressing || tenant->presses();
  }
  return seen;
}

}  // namespace

void Contention::Judge(std::uint64_t now_ns, std::span<Tenant* const> tenants) {
  ModeChooser::Seen seen = Contenders(now_ns, tenants);
  if (seen.pressing) {
    pressed_ns_ = now_ns;
    sliced_ = SlicesServe(tenants, now_ns, sliced_ && mode() != ArbiterMode::kWindows);
    seen.pressing = !sliced_;
  }
  chooser_.Choose(now_ns, seen);
  if (mode() == ArbiterMode::kWindows) pressed_ns_ = now_ns;
  // For a second after windows nobody seems to press, since they left the GPU idle.
  if (mode() == ArbiterMode::kFree || now_ns - pressed_ns_ >= kRelapseNs) sliced_ = false;
  if (IsSliced()) WatchSlices(tenants, now_ns, static_cast<unsigned>(seen.lately));
}

}  // namespace tessera::agent
