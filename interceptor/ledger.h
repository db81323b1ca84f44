#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>

#include "interceptor/region/layout.h"

namespace tessera {

/// What one live allocation is charged with.
struct Charge {
  std::uint64_t bytes = 0;
  std::uint16_t account = 0;     ///< session::Account
  bool pooled = false;           ///< a block of a pool, which is charged as a whole: bytes is 0
  bool kept = false;             ///< something that we do not see holds it: never returned
  std::uint32_t references = 1;  ///< of a physical allocation: handles and mappings
  /// The context that the memory goes with; of a mapping: the handle that is mapped; of a pool's
  /// block: its PoolAccount.
  std::uint64_t owner = 0;
};

/// Which allocations of this process are charged: pointer or handle -> Charge, in constant time.
///
/// Open addressing in memory from mmap, sixteen shards with a lock each. Thread-safe; no exception,
/// no malloc. Constant-initialised; its memory lives as long as the process.
class Ledger {
 public:
  constexpr Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  /// False if there is no memory for it, or if `key` is 0. A key that stands in the ledger already
  /// was freed without us (with its context): `replaced` is its old charge then, and 0 bytes
  /// otherwise.
  bool Insert(std::uint64_t key, const Charge& charge, Charge& replaced);
  /// Returns it; false if the key is not ours.
  bool Find(std::uint64_t key, Charge& charge);
  /// Removes and returns it; false if the key is not ours.
  bool Take(std::uint64_t key, Charge& charge);
  /// One reference more; false if the key is not ours.
  bool Retain(std::uint64_t key);
  /// One reference less. True if it was the last one: the entry is removed, and `last` is its
  /// charge.
  bool Drop(std::uint64_t key, Charge& last);
  /// Marks it `kept`; false if the key is not ours.
  bool Keep(std::uint64_t key);
  /// Gives every entry of one owner to another, in linear time.
  void ChangeOwner(std::uint64_t from, std::uint64_t to);
  /// Removes the entries of an owner and adds their bytes up by account, in linear time.
  void TakeAllOf(std::uint64_t owner, std::uint64_t (&bytes)[region::kMaxAccounts]);
  /// In a forked child, whose parent's allocations are not its own. Only plain stores.
  void ForgetAfterFork();

 private:
  struct Entry {
    std::uint64_t key;  ///< 0: free
    Charge charge;
  };
  struct alignas(64) Shard {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    Entry* entries = nullptr;
    std::size_t capacity = 0;  ///< a power of two
    std::size_t count = 0;
  };
  static constexpr std::size_t kShards = 16;

  static std::uint64_t Hash(std::uint64_t key);
  static std::size_t PlaceOf(const Shard& shard, std::uint64_t key);
  static void Erase(Shard& shard, std::size_t at);
  static bool Grow(Shard& shard);
  Shard& ShardOf(std::uint64_t key) { return shards_[Hash(key) >> 60]; }

  Shard shards_[kShards];
};

}  // namespace tessera
