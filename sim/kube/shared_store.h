#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "common/base/thread_annotations.h"
#include "sim/kube/store.h"

namespace tessera::sim {

/// A store that requests share, and whose watchers wait for news. Thread-safe.
class SharedStore {
 public:
  explicit SharedStore(Store store) : store_(std::move(store)) {}

  /// Runs `use(store)` alone and wakes the watchers.
  template <typename Use>
  auto With(Use use) {
    const std::lock_guard lock(mu_);
    auto result = use(store_);
    changed_.notify_all();
    return result;
  }

  /// How often watches were cut or expired: a watch ends when the number moves.
  struct Epochs {
    int cut = 0;
    int expired = 0;
    bool operator==(const Epochs&) const = default;
  };
  Epochs epochs() const {
    const std::lock_guard lock(mu_);
    return epochs_;
  }
  void CutWatches() { Bump(&Epochs::cut); }
  void ExpireWatches() { Bump(&Epochs::expired); }

  /// Waits until there are changes after `version`, an epoch other than `known`, or the time is
  /// over.
  std::optional<std::vector<Change>> Await(std::uint64_t version, const Epochs& known,
                                           std::chrono::milliseconds time) {
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, time, [&] { return store_.version() != version || epochs_ != known; });
    return store_.Since(version);
  }

 private:
  void Bump(int Epochs::*epoch) {
    const std::lock_guard lock(mu_);
    ++(epochs_.*epoch);
    changed_.notify_all();
  }

  mutable std::mutex mu_;
  std::condition_variable changed_;
  Store store_ TESSERA_GUARDED_BY(mu_);
  Epochs epochs_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::sim
