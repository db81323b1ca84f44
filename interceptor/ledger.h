#pragma once

#include <cstddef>
#include <cstdint>

#include "interceptor/region/layout.h"
#include "interceptor/region/mutex.h"

namespace tessera {

/// What one live allocation is charged with.
struct Charge {
  std::uint64_t bytes = 0;
  std::uint16_t account = 0;     ///< session::Account
  bool pooled : 1 = false;       ///< a block of a pool, which is charged as a whole: bytes is 0
  bool kept : 1 = false;         ///< something that we do not see holds it: never returned
  bool passed : 1 = false;       ///< the ledger's own mark of a place, not of what stands there
  std::uint32_t references = 1;  ///< of a physical allocation: handles and mappings
  /// The context that the memory goes with; of a mapping: the handle that is mapped; of a pool's
  /// block: its PoolAccount.
  std::uint64_t owner = 0;
};

/// Which allocations of this process are charged: pointer or handle -> Charge, in constant time.
///
/// Open addressing in memory from mmap, sixteen shards with a lock each. Thread-safe; no exception,
/// no malloc. Constant-initialised; its memory lives as long as the process.
///
/// A driver hands out neighbours one after the other, so neighbours stand together: the keys of 32
/// KiB in one shard and, 512 bytes apart, beside each other. A shard's table is rows of 64 places:
///
///   key      ... high bits ...| 6 bits | 9 bits
///                   └──── hash ──┼───────┘
///            shard, row ◀────────┤
///            column ◀── turn ────┴── + 6 bits
///
/// A search goes down its column and on at the top of the next one, so that a row's worth of
/// neighbours that meets another one finds its places in the next row, together again. The turn
/// spreads keys over the columns that are 32 KiB and more apart.
class Ledger {
 public:
  constexpr Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  /// False if there is no memory for it, or if `key` is 0. A key that stands in the ledger already
  /// was freed without us (with its context): `replaced` is its old charge then, and 0 bytes
  /// otherwise.
  [[gnu::hot]] bool Insert(std::uint64_t key, const Charge& charge, Charge& replaced);
  /// Returns it; false if the key is not ours.
  bool Find(std::uint64_t key, Charge& charge);
  /// Removes and returns it; false if the key is not ours.
  [[gnu::hot]] bool Take(std::uint64_t key, Charge& charge);
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
  /// How many places a search for `key` looks at; for tests.
  std::size_t Looks(std::uint64_t key);
  /// In a forked child, whose parent's allocations are not its own. Only plain stores.
  void ForgetAfterFork();

 private:
  struct Entry {
    std::uint64_t key;  ///< 0: free
    Charge charge;
  };
  struct alignas(64) Shard {
    region::Mutex mutex;
    Entry* entries = nullptr;
    std::size_t capacity = 0;  ///< a power of two, some rows
    std::size_t count = 0;
  };
  static constexpr std::size_t kShards = 16;

  [[gnu::always_inline]] static std::size_t Home(std::size_t capacity, std::uint64_t key);
  [[gnu::always_inline]] static std::size_t Next(std::size_t capacity, std::size_t at);
  static std::size_t Distance(std::size_t capacity, std::size_t from, std::size_t to);
  [[gnu::always_inline]] static Entry* Search(const Shard& shard, std::uint64_t key);
  [[gnu::always_inline]] static Entry& Occupy(Shard& shard, std::uint64_t key);
  [[gnu::always_inline]] static void Erase(Shard& shard, Entry& entry);
  [[gnu::noinline]] static Entry& CloseGap(Shard& shard, Entry& gap);
  [[gnu::cold, gnu::noinline]] static bool Grow(Shard& shard);
  [[gnu::always_inline]] Shard& ShardOf(std::uint64_t key);

  Shard shards_[kShards];
};

}  // namespace tessera
