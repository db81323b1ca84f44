#include "common/http/connection_table.h"

#include <sys/socket.h>

namespace tessera::http {

ConnectionTable::Admission ConnectionTable::Admit(int fd) {
  const std::lock_guard lock(mu_);
  Admission admission;
  if (entries_.size() >= max_) {
    if (idle_.empty()) return admission;
    const auto oldest = idle_.begin();
    const auto entry = entries_.find(oldest->second);
    shutdown(entry->second.fd, SHUT_RDWR);
    entries_.erase(entry);
    idle_.erase(oldest);
    admission.evicted_another = true;
  }
  admission.id = next_++;
  entries_.emplace(admission.id, Entry{.fd = fd});
  return admission;
}

void ConnectionTable::MarkIdle(std::uint64_t id) {
  const std::lock_guard lock(mu_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end() || entry->second.idle_since != 0) return;
  entry->second.idle_since = next_++;
  idle_.emplace(entry->second.idle_since, id);
}

bool ConnectionTable::MarkBusy(std::uint64_t id) {
  const std::lock_guard lock(mu_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return false;
  idle_.erase(entry->second.idle_since);
  entry->second.idle_since = 0;
  return true;
}

void ConnectionTable::Remove(std::uint64_t id) {
  const std::lock_guard lock(mu_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return;
  idle_.erase(entry->second.idle_since);
  entries_.erase(entry);
}

std::size_t ConnectionTable::size() const {
  const std::lock_guard lock(mu_);
  return entries_.size();
}

}  // namespace tessera::http
