#include "interceptor/ledger.h"

#include <sys/mman.h>

#include "interceptor/region/lock.h"

namespace tessera {
namespace {

using region::Lock;

constexpr std::size_t kFirstCapacity = 128;  // a page of them

/// Three quarters: with more a search gets long, with less the table is a page or a cache line away
/// more often, which costs more than a look at the next entry.
constexpr bool IsFull(std::size_t count, std::size_t capacity) { return count * 4 >= capacity * 3; }

}  // namespace

/// Multiplication spreads into the high bits: the top four choose the shard, the next ones the
/// place.
std::uint64_t Ledger::Hash(std::uint64_t key) {
  const std::uint64_t mixed = (key ^ (key >> 32)) * 0x9e37'79b9'7f4a'7c15;
  return mixed ^ (mixed >> 29);
}

std::size_t Ledger::PlaceOf(const Shard& shard, std::uint64_t key) {
  const std::size_t mask = shard.capacity - 1;
  std::size_t at = Hash(key) & mask;
  while (shard.entries[at].key != 0 && shard.entries[at].key != key) at = (at + 1) & mask;
  return at;
}

bool Ledger::Insert(std::uint64_t key, const Charge& charge, Charge& replaced) {
  replaced = {};
  if (key == 0) return false;
  Shard& shard = ShardOf(key);
  const Lock lock(shard.mutex);
  if (IsFull(shard.count, shard.capacity) && !Grow(shard)) return false;
  Entry& entry = shard.entries[PlaceOf(shard, key)];
  if (entry.key == key) {
    replaced = entry.charge;
  } else {
    ++shard.count;
  }
  entry = {.key = key, .charge = charge};
  return true;
}

bool Ledger::Find(std::uint64_t key, Charge& charge) {
  Shard& shard = ShardOf(key);
  const Lock lock(shard.mutex);
  if (key == 0 || shard.capacity == 0) return false;
  const Entry& entry = shard.entries[PlaceOf(shard, key)];
  if (entry.key != key) return false;
  charge = entry.charge;
  return true;
}

bool Ledger::Take(std::uint64_t key, Charge& charge) {
  if (key == 0) return false;
  Shard& shard = ShardOf(key);
  const Lock lock(shard.mutex);
  if (shard.capacity == 0) return false;
  const std::size_t at = PlaceOf(shard, key);
  if (shard.entries[at].key != key) return false;
  charge = shard.entries[at].charge;
  Erase(shard, at);
  return true;
}

bool Ledger::Retain(std::uint64_t key) {
  Shard& shard = ShardOf(key);
  const Lock lock(shard.mutex);
  if (key == 0 || shard.capacity == 0) return false;
  Entry& entry = shard.entries[PlaceOf(shard, key)];
  if (entry.key != key) return false;
  ++entry.charge.references;
  return true;
}

bool Ledger::Keep(std::uint64_t key) {
  Shard& shard = ShardOf(key);
  const Lock lock(shard.mutex);
  if (key == 0 || shard.capacity == 0) return false;
  Entry& entry = shard.entries[PlaceOf(shard, key)];
  if (entry.key != key) return false;
  entry.charge.kept = true;
  return true;
}

bool Ledger::Drop(std::uint64_t key, Charge& last) {
  Shard& shard = ShardOf(key);
  const Lock lock(shard.mutex);
  if (key == 0 || shard.capacity == 0) return false;
  const std::size_t at = PlaceOf(shard, key);
  Entry& entry = shard.entries[at];
  if (entry.key != key || --entry.charge.references > 0) return false;
  last = entry.charge;
  Erase(shard, at);
  return true;
}

void Ledger::ChangeOwner(std::uint64_t from, std::uint64_t to) {
  for (Shard& shard : shards_) {
    const Lock lock(shard.mutex);
    for (std::size_t i = 0; i < shard.capacity; ++i) {
      Entry& entry = shard.entries[i];
      if (entry.key != 0 && !entry.charge.pooled && entry.charge.owner == from) {
        entry.charge.owner = to;
      }
    }
  }
}

/// Erase fills the hole from behind, so the place is looked at again; what it brings around the end
/// of the table was looked at before.
void Ledger::TakeAllOf(std::uint64_t owner, std::uint64_t (&bytes)[region::kMaxAccounts]) {
  for (Shard& shard : shards_) {
    const Lock lock(shard.mutex);
    for (std::size_t i = 0; i < shard.capacity;) {
      const Entry& entry = shard.entries[i];
      if (entry.key == 0 || entry.charge.pooled || entry.charge.owner != owner) {
        ++i;
        continue;
      }
      bytes[entry.charge.account] += entry.charge.bytes;
      Erase(shard, i);
    }
  }
}

/// Moves later entries of the run into the hole, so that no run is ever broken and no tombstone is
/// needed.
void Ledger::Erase(Shard& shard, std::size_t at) {
  const std::size_t mask = shard.capacity - 1;
  std::size_t hole = at;
  for (std::size_t next = (at + 1) & mask; shard.entries[next].key != 0; next = (next + 1) & mask) {
    const std::size_t home = Hash(shard.entries[next].key) & mask;
    if (((next - home) & mask) < ((next - hole) & mask)) continue;
    shard.entries[hole] = shard.entries[next];
    hole = next;
  }
  shard.entries[hole].key = 0;
  --shard.count;
}

bool Ledger::Grow(Shard& shard) {
  Shard bigger;
  bigger.capacity = shard.capacity == 0 ? kFirstCapacity : shard.capacity * 2;
  void* memory = mmap(nullptr, bigger.capacity * sizeof(Entry), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  bigger.entries = static_cast<Entry*>(memory);
  for (std::size_t i = 0; i < shard.capacity; ++i) {
    const Entry& entry = shard.entries[i];
    if (entry.key != 0) bigger.entries[PlaceOf(bigger, entry.key)] = entry;
  }
  if (shard.entries != nullptr) munmap(shard.entries, shard.capacity * sizeof(Entry));
  shard.entries = bigger.entries;
  shard.capacity = bigger.capacity;
  return true;
}

void Ledger::ForgetAfterFork() {
  for (Shard& shard : shards_) {
    shard.mutex = PTHREAD_MUTEX_INITIALIZER;
    shard.entries = nullptr;
    shard.capacity = 0;
    shard.count = 0;
  }
}

}  // namespace tessera
