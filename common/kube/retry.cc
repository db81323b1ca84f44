#include "common/kube/retry.h"

#include <algorithm>
#include <cmath>

namespace tessera::kube {
namespace {

using std::chrono::milliseconds;

bool MayRepeat(std::string_view method, const Outcome& outcome) {
  if (outcome.permanent) return false;
  if (outcome.status == 429 || outcome.not_sent) return true;
  return method == "GET" && (outcome.status == 0 || outcome.status >= 500);
}

}  // namespace

milliseconds Backoff(const RetryPolicy& policy, int attempt, double chance) {
  const double ceiling =
      std::min(static_cast<double>(policy.max.count()),
               static_cast<double>(policy.base.count()) * std::exp2(std::clamp(attempt, 0, 60)));
  return milliseconds(std::llround(ceiling * std::clamp(chance, 0.0, 1.0)));
}

std::optional<milliseconds> NextAttempt(const RetryPolicy& policy, std::string_view method,
                                        const Outcome& outcome, int attempt, milliseconds elapsed,
                                        double chance) {
  if (!MayRepeat(method, outcome) || attempt + 1 >= policy.max_attempts) return std::nullopt;
  const milliseconds wait = outcome.retry_after + Backoff(policy, attempt, chance);
  if (elapsed + wait > policy.budget) return std::nullopt;
  return wait;
}

}  // namespace tessera::kube
