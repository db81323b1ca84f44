#include "agent/arbiter/accounts.h"

#include <algorithm>
#include <vector>

namespace tessera::agent {
namespace {

/// Who pays though it is not seen at work, if others wait; or null.
const Tenant* PayerOfIdleTime(std::span<Tenant* const> tenants, const Elapsed& elapsed) {
  if (elapsed.changer == nullptr) return elapsed.holder;
  const bool idle = std::none_of(tenants.begin(), tenants.end(), [](const Tenant* tenant) {
    return tenant->seen.attached && tenant->seen.running;
  });
  return idle ? elapsed.changer : nullptr;
}

bool OthersWait(std::span<Tenant* const> tenants, const Tenant& tenant) {
  return std::any_of(tenants.begin(), tenants.end(), [&](const Tenant* other) {
    return other != &tenant && other->seen.attached && other->seen.wanting;
  });
}

}  // namespace

void SetWeights(std::span<Tenant* const> tenants) {
  int guaranteed = 0;
  int without = 0;
  for (const Tenant* tenant : tenants) {
    if (tenant->best_effort()) continue;
    guaranteed += tenant->seen.percent;
    without += tenant->seen.percent == 0 ? 1 : 0;
  }
  const int rest = without == 0 ? 0 : std::max(1, (100 - guaranteed) / without);
  for (Tenant* tenant : tenants) {
    const int percent = tenant->seen.percent;
    tenant->share.weight = percent > 0 ? percent : tenant->best_effort() ? 1 : rest;
  }
}

void Charge(std::span<Tenant* const> tenants, const Elapsed& elapsed, std::uint64_t credit_ns) {
  const auto elapsed_ns = static_cast<double>(elapsed.ns);
  const Tenant* const idle_payer = PayerOfIdleTime(tenants, elapsed);
  const auto pays = [&](const Tenant* tenant) {
    if (!tenant->seen.attached || !elapsed.windows) return false;
    return tenant->seen.running || (tenant == idle_payer && OthersWait(tenants, *tenant));
  };
  const auto paying = std::count_if(tenants.begin(), tenants.end(), pays);
  std::vector<ShareUse> uses;
  for (const bool best_effort : {false, true}) {
    uses.clear();
    for (Tenant* tenant : tenants) {
      if (tenant->best_effort() != best_effort) continue;
      const double charge = pays(tenant) ? elapsed_ns / static_cast<double>(paying) : 0;
      const bool active = elapsed.windows && tenant->active() && tenant->believed();
      uses.push_back({.share = &tenant->share, .charged_ns = charge, .active = active});
      if (!elapsed.windows) continue;
      tenant->totals.charged_ns += static_cast<std::uint64_t>(charge);
      const bool waits = tenant->active() && !tenant->seen.running;
      if (waits && tenant != elapsed.holder) tenant->totals.waited_ns += elapsed.ns;
    }
    Settle(uses, elapsed_ns, static_cast<double>(credit_ns));
  }
}

}  // namespace tessera::agent
