#include "agent/arbiter/fair_shares.h"

#include <algorithm>

namespace tessera::agent {
namespace {

/// An account that is away pays its debt, and loses its credit, at the rate of its share.
void RunDown(FairShare& share, double elapsed_ns, double credit_ns) {
  const double step = elapsed_ns / 100;  // elapsed x weight percent / weight
  const double least = -credit_ns / share.weight;
  if (share.ahead_ns > 0) {
    share.ahead_ns = std::max(share.ahead_ns - step, 0.0);
  } else if (share.ahead_ns < least) {
    share.ahead_ns = std::min(share.ahead_ns + step, least);
  }
}

double ActiveWeight(std::span<const ShareUse> uses) {
  double sum = 0;
  for (const ShareUse& use : uses) sum += use.share->active ? use.share->weight : 0;
  return sum;
}

/// Takes part again, as far ahead of the others as it was. Its own weight is part of the mean that
/// is taken off in the end, so the distance is stretched before.
void Join(FairShare& share, double others_weight) {
  if (others_weight > 0) share.ahead_ns *= (others_weight + share.weight) / others_weight;
  share.active = true;
}

/// Takes the mean off: what all of them were charged is nobody's lead.
void Level(std::span<const ShareUse> uses) {
  double sum = 0;
  for (const ShareUse& use : uses) {
    if (use.share->active) sum += use.share->ahead_ns * use.share->weight;
  }
  const double weight = ActiveWeight(uses);
  if (weight <= 0) return;
  for (const ShareUse& use : uses) {
    if (use.share->active) use.share->ahead_ns -= sum / weight;
  }
}

}  // namespace

void Settle(std::span<const ShareUse> uses, double elapsed_ns, double credit_ns) {
  for (const ShareUse& use : uses) {
    use.share->ahead_ns += use.charged_ns / use.share->weight;
    if (!use.share->active && !use.active) RunDown(*use.share, elapsed_ns, credit_ns);
    if (!use.active) use.share->active = false;
  }
  Level(uses);
  for (const ShareUse& use : uses) {
    if (use.active && !use.share->active) Join(*use.share, ActiveWeight(uses));
  }
  Level(uses);
  for (const ShareUse& use : uses) {
    const double most = kMostDebtNs / use.share->weight;
    use.share->ahead_ns = std::clamp(use.share->ahead_ns, -most, most);
  }
}

}  // namespace tessera::agent
