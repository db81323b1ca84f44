#include "extender/idle_guard.h"

#include <utility>

namespace tessera::extender {

IdleGuard::IdleGuard(const Clock& clock, std::chrono::milliseconds limit, List list)
    : clock_(clock), limit_(limit), list_(std::move(list)) {}

bool IdleGuard::IsPause() const { return !asked_ || clock_.Now() - *asked_ >= limit_; }

bool IdleGuard::Enter() {
  if (limit_ <= std::chrono::milliseconds::zero()) return true;
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mu_);
    if (IsPause()) ticket_ = list_.request();
    asked_ = clock_.Now();
    if (!ticket_) return true;
    ticket = *ticket_;
  }
  const bool told = list_.wait(ticket);
  const std::lock_guard lock(mu_);
  asked_ = clock_.Now();
  if (told && ticket_ == ticket) ticket_.reset();
  return told;
}

void IdleGuard::Touch() {
  const std::lock_guard lock(mu_);
  if (!IsPause()) asked_ = clock_.Now();
}

}  // namespace tessera::extender
