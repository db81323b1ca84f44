#include "agent/mps/planner.h"

#include <algorithm>

namespace tessera::agent::mps {
namespace {

constexpr std::chrono::seconds kFirstDelay{2};
constexpr std::chrono::seconds kLongestDelay{60};
constexpr int kMostDoublings = 5;

}  // namespace

std::chrono::seconds Planner::Delay() const {
  return std::min(kFirstDelay * (1 << std::min(failures_, kMostDoublings)), kLongestDelay);
}

Plan Planner::Decide(std::optional<bool> wanted, const Observation& seen, Time now) {
  if (!wanted) {
    const bool well = seen.answers && !seen.fault;
    return {.open = well, .offered = !seen.fault};
  }
  if (!*wanted) return Retire(seen, now);
  unwanted_since_.reset();
  if (!seen.answers) return Revive(now);
  started_ = true;
  return seen.fault ? Quarantine(seen, now) : Keep(seen, now);
}

Plan Planner::Keep(const Observation& seen, Time now) {
  if (!well_since_) well_since_ = now;
  if (now - *well_since_ >= kCalm) {
    failures_ = 0;
    next_try_ = {};
  }
  return {.open = true, .offered = seen.clients < kMaxClients};
}

Plan Planner::Revive(Time now) {
  well_since_.reset();
  if (now < next_try_) return {.offered = failures_ == 0};
  if (started_) {
    ++restarts_;
    ++failures_;
  }
  started_ = true;
  next_try_ = now + Delay();
  return {.action = Action::kStart, .offered = failures_ == 0};
}

Plan Planner::Quarantine(const Observation& seen, Time now) {
  well_since_.reset();
  if (seen.clients > 0 || now < next_try_) return {};
  ++failures_;
  next_try_ = now + Delay();
  return {.action = Action::kQuit};
}

Plan Planner::Retire(const Observation& seen, Time now) {
  started_ = false;
  failures_ = 0;
  next_try_ = {};
  well_since_.reset();
  if (!unwanted_since_) unwanted_since_ = now;
  const bool over = seen.answers && seen.clients == 0 && now - *unwanted_since_ >= kLinger;
  return {.action = over ? Action::kQuit : Action::kNone, .offered = !seen.fault};
}

}  // namespace tessera::agent::mps
