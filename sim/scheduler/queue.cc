#include "sim/scheduler/queue.h"

#include <algorithm>

namespace tessera::sim {
namespace {

constexpr std::chrono::seconds kFirstBackOff{1};
constexpr std::chrono::seconds kLongestBackOff{10};

std::chrono::seconds BackOff(int failures) {
  const auto delay = kFirstBackOff * (1LL << std::min(failures - 1, 10));
  return std::min<std::chrono::seconds>(delay, kLongestBackOff);
}

}  // namespace

void SchedulingQueue::Add(const std::string& pod) {
  if (entries_.try_emplace(pod).second) active_.push_back(pod);
}

void SchedulingQueue::Delete(const std::string& pod) {
  entries_.erase(pod);
  std::erase(active_, pod);
}

std::optional<std::string> SchedulingQueue::Pop(Time now) {
  for (auto& [pod, entry] : entries_) {
    if (entry.place != Place::kBackOff || entry.due > now) continue;
    entry.place = Place::kActive;
    active_.push_back(pod);
  }
  if (active_.empty()) return std::nullopt;
  std::string pod = std::move(active_.front());
  active_.pop_front();
  Entry& entry = entries_[pod];
  entry.place = Place::kTried;
  entry.popped_at = events_;
  return pod;
}

void SchedulingQueue::Failed(const std::string& pod, Why why, Time now) {
  const auto found = entries_.find(pod);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.due = now + BackOff(++entry.failures);
  const bool missed_event = entry.popped_at != events_;
  entry.place = why == Why::kError || missed_event ? Place::kBackOff : Place::kWaiting;
}

void SchedulingQueue::OnClusterEvent() {
  ++events_;
  for (auto& [pod, entry] : entries_) {
    if (entry.place == Place::kWaiting) entry.place = Place::kBackOff;
  }
}

std::optional<SchedulingQueue::Time> SchedulingQueue::NextDue() const {
  std::optional<Time> next;
  for (const auto& [pod, entry] : entries_) {
    if (entry.place == Place::kBackOff && (!next || entry.due < *next)) next = entry.due;
  }
  return next;
}

}  // namespace tessera::sim
