#include "sim/kube/faults.h"

#include <algorithm>
#include <utility>

namespace tessera::sim {
namespace {

constexpr std::size_t kMaxEntries = 200'000;

}  // namespace

void Faults::Add(Fault fault) {
  std::regex path(fault.path);
  const std::lock_guard lock(mu_);
  entries_.push_back({std::move(fault), std::move(path)});
}

std::optional<Fault> Faults::Take(std::string_view method, const std::string& path) {
  const std::lock_guard lock(mu_);
  for (Entry& entry : entries_) {
    if (entry.fault.times <= 0) continue;
    if (!entry.fault.method.empty() && entry.fault.method != method) continue;
    if (!std::regex_match(path, entry.path)) continue;
    --entry.fault.times;
    return entry.fault;
  }
  return std::nullopt;
}

void Journal::Add(JournalEntry entry) {
  const std::lock_guard lock(mu_);
  if (entries_.size() < kMaxEntries) entries_.push_back(std::move(entry));
}

std::vector<JournalEntry> Journal::All() const {
  const std::lock_guard lock(mu_);
  return entries_;
}

std::size_t Journal::Count(std::string_view method, const std::string& path) const {
  const std::regex pattern(path);
  const std::lock_guard lock(mu_);
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [&](const JournalEntry& entry) {
        return entry.method == method && std::regex_match(entry.path, pattern);
      }));
}

void Journal::Clear() {
  const std::lock_guard lock(mu_);
  entries_.clear();
}

}  // namespace tessera::sim
