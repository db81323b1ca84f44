#include "interceptor/ledger.h"

#include <sys/mman.h>

namespace tessera {
namespace {

using region::Hold;

constexpr std::size_t kColumns = 64;
constexpr std::size_t kFirstCapacity = 2 * kColumns;  // a page of them

/// The bits of a key that tell neighbours apart.
constexpr unsigned kNearShift = 9;
constexpr std::uint64_t kNear = (kColumns - 1) << kNearShift;

/// A half: a search takes one look and a half then. More of them would mean further cache lines.
constexpr bool IsFull(std::size_t count, std::size_t capacity) { return count * 2 >= capacity; }

/// The same for neighbours. The top four bits choose the shard, the next six the turn, the middle
/// ones the row: they must not depend on each other, which one multiplication does not give.
inline std::uint64_t Hash(std::uint64_t key) {
  constexpr std::uint64_t kOdd = 0x9e37'79b9'7f4a'7c15;
  const std::uint64_t far = key & ~kNear;
  const std::uint64_t mixed = (far ^ (far >> 32)) * kOdd;
  return (mixed ^ (mixed >> 32)) * kOdd;
}

}  // namespace

inline Ledger::Shard& Ledger::ShardOf(std::uint64_t key) { return shards_[Hash(key) >> 60]; }

inline std::size_t Ledger::Home(std::size_t capacity, std::uint64_t key) {
  const std::uint64_t hash = Hash(key);
  const std::size_t column = ((key >> kNearShift) + (hash >> 54)) % kColumns;
  return ((hash >> 20) * kColumns & (capacity - kColumns)) + column;
}

/// The place below; from the last row the top of the next column.
inline std::size_t Ledger::Next(std::size_t capacity, std::size_t at) {
  const std::size_t below = at + kColumns;
  return below < capacity ? below : (below - capacity + 1) % kColumns;
}

/// So many times Next leads from one to the other.
std::size_t Ledger::Distance(std::size_t capacity, std::size_t from, std::size_t to) {
  const std::size_t rows = capacity / kColumns;
  const auto order = [=](std::size_t at) { return at % kColumns * rows + at / kColumns; };
  return (order(to) - order(from)) & (capacity - 1);
}

/// Null if it is not there. Where nobody's search has passed nobody is found either.
inline Ledger::Entry* Ledger::Search(const Shard& shard, std::uint64_t key) {
  if (key == 0 || shard.capacity == 0) return nullptr;
  std::size_t at = Home(shard.capacity, key);
  while (shard.entries[at].key != key) {
    if (!shard.entries[at].charge.passed) return nullptr;
    at = Next(shard.capacity, at);
  }
  return &shard.entries[at];
}

/// The entry of that key, or the free place for it.
inline Ledger::Entry& Ledger::Occupy(Shard& shard, std::uint64_t key) {
  std::size_t at = Home(shard.capacity, key);
  while (shard.entries[at].key != 0 && shard.entries[at].key != key) {
    shard.entries[at].charge.passed = true;
    at = Next(shard.capacity, at);
  }
  return shard.entries[at];
}

bool Ledger::Insert(std::uint64_t key, const Charge& charge, Charge& replaced) {
  replaced = {};
  if (key == 0) return false;
  Shard& shard = ShardOf(key);
  const Hold hold(shard.mutex);
  if (IsFull(shard.count, shard.capacity) && !Grow(shard)) [[unlikely]]
    return false;
  Entry& entry = Occupy(shard, key);
  const bool passed = entry.charge.passed;
  if (entry.key == key) {
    replaced = entry.charge;
  } else {
    ++shard.count;
  }
  entry = {.key = key, .charge = charge};
  entry.charge.passed = passed;
  return true;
}

bool Ledger::Find(std::uint64_t key, Charge& charge) {
  Shard& shard = ShardOf(key);
  const Hold hold(shard.mutex);
  const Entry* const entry = Search(shard, key);
  if (entry == nullptr) return false;
  charge = entry->charge;
  return true;
}

bool Ledger::Take(std::uint64_t key, Charge& charge) {
  Shard& shard = ShardOf(key);
  const Hold hold(shard.mutex);
  Entry* const entry = Search(shard, key);
  if (entry == nullptr) return false;
  charge = entry->charge;
  Erase(shard, *entry);
  return true;
}

bool Ledger::Retain(std::uint64_t key) {
  Shard& shard = ShardOf(key);
  const Hold hold(shard.mutex);
  Entry* const entry = Search(shard, key);
  if (entry == nullptr) return false;
  ++entry->charge.references;
  return true;
}

bool Ledger::Keep(std::uint64_t key) {
  Shard& shard = ShardOf(key);
  const Hold hold(shard.mutex);
  Entry* const entry = Search(shard, key);
  if (entry == nullptr) return false;
  entry->charge.kept = true;
  return true;
}

bool Ledger::Drop(std::uint64_t key, Charge& last) {
  Shard& shard = ShardOf(key);
  const Hold hold(shard.mutex);
  Entry* const entry = Search(shard, key);
  if (entry == nullptr || --entry->charge.references > 0) return false;
  last = entry->charge;
  Erase(shard, *entry);
  return true;
}

std::size_t Ledger::Looks(std::uint64_t key) {
  Shard& shard = ShardOf(key);
  const Hold hold(shard.mutex);
  const Entry* const entry = Search(shard, key);
  if (entry == nullptr) return 0;
  const auto at = static_cast<std::size_t>(entry - shard.entries);
  return 1 + Distance(shard.capacity, Home(shard.capacity, key), at);
}

void Ledger::ChangeOwner(std::uint64_t from, std::uint64_t to) {
  for (Shard& shard : shards_) {
    const Hold hold(shard.mutex);
    for (std::size_t i = 0; i < shard.capacity; ++i) {
      Entry& entry = shard.entries[i];
      if (entry.key != 0 && !entry.charge.pooled && entry.charge.owner == from) {
        entry.charge.owner = to;
      }
    }
  }
}

/// Erase fills the hole from behind, so the place is looked at again; what it brings around the end
/// of the last column was looked at before.
void Ledger::TakeAllOf(std::uint64_t owner, std::uint64_t (&bytes)[region::kMaxAccounts]) {
  for (Shard& shard : shards_) {
    const Hold hold(shard.mutex);
    for (std::size_t i = 0, at = 0; i < shard.capacity;) {
      Entry& entry = shard.entries[at];
      if (entry.key == 0 || entry.charge.pooled || entry.charge.owner != owner) {
        ++i;
        at = Next(shard.capacity, at);
        continue;
      }
      bytes[entry.charge.account] += entry.charge.bytes;
      Erase(shard, entry);
    }
  }
}

inline void Ledger::Erase(Shard& shard, Entry& entry) {
  --shard.count;
  Entry& hole = entry.charge.passed ? CloseGap(shard, entry) : entry;
  hole.key = 0;
  hole.charge.passed = false;
}

/// Moves later entries whose search passes a hole into it, so that no search is ever broken and no
/// tombstone is needed. Returns the hole that is left, which nobody's search passes.
Ledger::Entry& Ledger::CloseGap(Shard& shard, Entry& gap) {
  auto hole = static_cast<std::size_t>(&gap - shard.entries);
  std::size_t at = hole;
  do {
    at = Next(shard.capacity, at);
    const Entry& entry = shard.entries[at];
    if (entry.key == 0) break;
    const std::size_t home = Home(shard.capacity, entry.key);
    if (Distance(shard.capacity, home, at) < Distance(shard.capacity, hole, at)) continue;
    const bool passed = entry.charge.passed;
    shard.entries[hole] = entry;
    shard.entries[hole].charge.passed = true;
    shard.entries[at].charge.passed = passed;
    hole = at;
  } while (shard.entries[at].charge.passed);
  return shard.entries[hole];
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
    if (entry.key == 0) continue;
    Entry& place = Occupy(bigger, entry.key);
    place = entry;
    place.charge.passed = false;
  }
  if (shard.entries != nullptr) munmap(shard.entries, shard.capacity * sizeof(Entry));
  shard.entries = bigger.entries;
  shard.capacity = bigger.capacity;
  return true;
}

void Ledger::ForgetAfterFork() {
  for (Shard& shard : shards_) {
    shard.mutex.ForgetAfterFork();
    shard.entries = nullptr;
    shard.capacity = 0;
    shard.count = 0;
  }
}

}  // namespace tessera
