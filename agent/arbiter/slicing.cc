#include "agent/arbiter/slicing.h"

#include <algorithm>
#include <vector>

#include "agent/arbiter/mode.h"

namespace tessera::agent {
namespace {

/// Beside one that never rests work takes twice as long, at the least, so of the time in which it
/// is under way half is its own, at the most.
constexpr double kOfSliced = 0.5;
/// Who waits for its windows would come so much oftener.
constexpr double kOfWindows = 1.5;
/// Who has had its windows for more than that works in them without a break to speak of, as if
/// alone, and would be slower with slices.
constexpr std::uint32_t kMostPermille = 360;
/// Shares are whole percents.
constexpr double kNearlyEqual = 1.1;

std::vector<const Tenant*> SeenLately(std::span<Tenant* const> tenants, std::uint64_t now_ns) {
  std::vector<const Tenant*> lately;
  for (const Tenant* tenant : tenants) {
    if (tenant->ActiveWithin(kLatelyNs, now_ns)) lately.push_back(tenant);
  }
  return lately;
}

/// The part of the time that is its own while all of them want it.
double Due(const Tenant& tenant, std::span<const Tenant* const> lately) {
  double all = 0;
  for (const Tenant* other : lately) {
    if (other->best_effort() == tenant.best_effort()) all += other->share.weight;
  }
  return all > 0 ? tenant.share.weight / all : 1;
}

bool Fits(const Tenant& tenant, std::span<const Tenant* const> lately, bool begun) {
  const double occupies = 1e-3 * tenant.seen.occupies_permille;
  if (begun) return occupies * kOfSliced <= Due(tenant, lately);
  // A cap holds what is counted, of which half is its own then.
  const double may_use = 0.01 * kOfSliced * tenant.seen.percent;
  if (tenant.capped() && occupies > may_use) return false;
  return tenant.seen.occupies_permille <= kMostPermille &&
         occupies * kOfWindows <= Due(tenant, lately);
}

}  // namespace

bool SlicesServe(std::span<Tenant* const> tenants, std::uint64_t now_ns, bool begun) {
  const std::vector<const Tenant*> lately = SeenLately(tenants, now_ns);
  const auto presses = [](const Tenant* tenant) { return tenant->presses(); };
  const auto one = std::find_if(lately.begin(), lately.end(), presses);
  if (one == lately.end() || std::count_if(one, lately.end(), presses) > 1) return false;
  const Tenant& greedy = **one;
  if (greedy.capped()) return false;
  const double equal = 1.0 / static_cast<double>(lately.size());
  if (!greedy.best_effort() && Due(greedy, lately) > kNearlyEqual * equal) return false;
  return std::all_of(lately.begin(), lately.end(), [&](const Tenant* tenant) {
    if (tenant == &greedy) return true;
    if (tenant->best_effort() && !greedy.best_effort()) return false;
    return tenant->pauses.WorkIsBrief(now_ns) && Fits(*tenant, lately, begun);
  });
}

void WatchSlices(std::span<Tenant* const> tenants, std::uint64_t now_ns, unsigned among) {
  for (Tenant* tenant : tenants) {
    if (tenant->seen.attached && !tenant->seen.presses) {
      tenant->pauses.LookSliced(now_ns, tenant->seen.running, std::max(among, 2U));
    }
  }
}

}  // namespace tessera::agent
