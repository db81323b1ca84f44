#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"

namespace tessera::extender {

/// Keeps a standby from placing pods by a cache that has not heard of the old leader's last binds:
/// who was not asked for a while lists all pods anew before it answers. Thread-safe.
class IdleGuard {
 public:
  struct List {
    /// Begins a list and returns its ticket; does not wait, for it is called under a lock.
    std::function<std::uint64_t()> request;
    std::function<bool(std::uint64_t ticket)> wait;  ///< true once it has been told, false: not yet
  };
  /// A pause is `limit` long or longer; 0: there are none. `clock` must outlive this.
  IdleGuard(const Clock& clock, std::chrono::milliseconds limit, List list);

  /// A filter begins. False: the list after a pause is still under way; ask again.
  bool Enter();
  /// Something else was asked that tells that this replica leads.
  void Touch();

 private:
  bool IsPause() const;

  const Clock& clock_;
  const std::chrono::milliseconds limit_;
  const List list_;
  std::mutex mu_;
  std::optional<std::chrono::steady_clock::time_point> asked_ TESSERA_GUARDED_BY(mu_);
  /// Of the list that the pause's end asked for, until it has been told. Callers that come again
  /// wait for the same one: a list may take longer than a scheduler waits.
  std::optional<std::uint64_t> ticket_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::extender
