#include "interceptor/region/account.h"

#include <algorithm>

namespace tessera::region {
namespace {

/// Retries are somebody else's progress; so many of them are a scribbler's work.
constexpr int kMaxRetries = 1 << 22;

struct Position {
  std::uint64_t head = 0;
  std::uint64_t total = 0;
  bool valid = false;
};

const Record* FindRecord(const Balance& lane, std::uint64_t sequence) {
  for (const Record& record : lane.records) {
    if (record.sequence.load(std::memory_order_acquire) == sequence) return &record;
  }
  return nullptr;
}

/// A record is not rewritten while head names it: if head is the same after reading the total, the
/// total was the head's.
Position ReadPosition(const Layout& file, std::size_t account) {
  const Word& head = HeadOf(file, account);
  for (int i = 0; i < kMaxRetries; ++i) {
    Position position{.head = head.load(std::memory_order_acquire)};
    const std::size_t slot = SlotOf(position.head);
    if (position.head == 0) {
      position.valid = true;
    } else if (slot < kMaxProcesses) {
      const Record* record = FindRecord(BalanceOf(file, slot, account), SequenceOf(position.head));
      if (record != nullptr) {
        position.total = record->total_bytes.load(std::memory_order_acquire);
        position.valid = position.total <= kMaxBytes;
      }
    }
    if (head.load(std::memory_order_acquire) == position.head) return position;
  }
  return {};
}

void Raise(Word& word, std::uint64_t value) {
  std::uint64_t seen = word.load(std::memory_order_acquire);
  while (seen < value && !word.compare_exchange_weak(seen, value)) {
  }
}

struct Change {
  bool add = false;
  std::uint64_t bytes = 0;
  std::uint64_t limit = kMaxBytes;
};

/// Step 3: the record that follows `position`, unless the limit forbids it.
Outcome Decide(const Balance& lane, const Position& position, const Change& change, Record& next) {
  const std::uint64_t committed = lane.committed.load(std::memory_order_acquire);
  const Record* current = FindRecord(lane, committed);
  if (committed != 0 && current == nullptr) return Outcome::kCorrupt;
  const std::uint64_t used =
      committed == 0 ? 0 : current->used_bytes.load(std::memory_order_acquire);
  if (used > position.total) return Outcome::kCorrupt;

  std::uint64_t total = position.total;
  std::uint64_t mine = used;
  if (change.add) {
    if (change.bytes > change.limit || total > change.limit - change.bytes) {
      return Outcome::kOverLimit;
    }
    total += change.bytes;
    mine += change.bytes;
  } else {
    const std::uint64_t back = std::min(change.bytes, used);
    total -= back;
    mine -= back;
  }
  next.sequence.store(SequenceOf(position.head) + 1, std::memory_order_release);
  next.total_bytes.store(total, std::memory_order_release);
  next.used_bytes.store(mine, std::memory_order_release);
  return Outcome::kDone;
}

Record& SpareRecord(Balance& lane) {
  const std::uint64_t committed = lane.committed.load(std::memory_order_acquire);
  const bool first_counts = lane.records[0].sequence.load(std::memory_order_acquire) == committed;
  return lane.records[first_counts ? 1 : 0];
}

Outcome Apply(Layout& file, std::size_t slot, std::size_t account, const Change& change) {
  Balance& lane = BalanceOf(file, slot, account);
  for (int i = 0; i < kMaxRetries; ++i) {
    const Position position = ReadPosition(file, account);
    if (!position.valid) return Outcome::kCorrupt;
    if (position.head != 0) {
      Raise(BalanceOf(file, SlotOf(position.head), account).committed, SequenceOf(position.head));
    }
    const Outcome outcome = Decide(lane, position, change, SpareRecord(lane));
    if (outcome != Outcome::kDone) return outcome;
    const std::uint64_t sequence = SequenceOf(position.head) + 1;
    std::uint64_t expected = position.head;
    if (HeadOf(file, account).compare_exchange_strong(expected, PackHead(sequence, slot))) {
      Raise(lane.committed, sequence);
      return Outcome::kDone;
    }
  }
  return Outcome::kCorrupt;
}

}  // namespace

Outcome Add(Layout& file, std::size_t slot, std::size_t account, std::uint64_t bytes,
            std::uint64_t limit) {
  return Apply(file, slot, account,
               {.add = true, .bytes = bytes, .limit = std::min(limit, kMaxBytes)});
}

Outcome Subtract(Layout& file, std::size_t slot, std::size_t account, std::uint64_t bytes) {
  return Apply(file, slot, account, {.add = false, .bytes = bytes});
}

std::uint64_t TotalBytes(const Layout& file, std::size_t account) {
  const Position position = ReadPosition(file, account);
  return position.valid ? position.total : kMaxBytes;
}

std::uint64_t LaneBytes(const Layout& file, std::size_t slot, std::size_t account) {
  const Balance& lane = BalanceOf(file, slot, account);
  const std::uint64_t head = HeadOf(file, account).load(std::memory_order_acquire);
  const bool mine_is_last = head != 0 && SlotOf(head) == slot;
  const std::uint64_t counts =
      mine_is_last ? SequenceOf(head) : lane.committed.load(std::memory_order_acquire);
  const Record* record = counts == 0 ? nullptr : FindRecord(lane, counts);
  return record == nullptr ? 0 : record->used_bytes.load(std::memory_order_acquire);
}

}  // namespace tessera::region
