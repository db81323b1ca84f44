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

/// What a change starts from.
struct Base {
  std::uint64_t head = 0;
  std::uint64_t total = 0;
  std::uint64_t used = 0;   ///< of the lane
  Record* spare = nullptr;  ///< the half of the lane that does not count; null: corrupt
};

/// The lane made the last change: the record that counts is head's, whatever `committed` says. It
/// is this thread's to write, so it does not change while it is read.
Base OwnBase(Balance& lane, std::uint64_t head) {
  const std::uint64_t sequence = SequenceOf(head);
  const std::size_t at =
      lane.records[0].sequence.load(std::memory_order_acquire) == sequence ? 0 : 1;
  const Record& current = lane.records[at];
  Base base{.head = head,
            .total = current.total_bytes.load(std::memory_order_acquire),
            .used = current.used_bytes.load(std::memory_order_acquire)};
  const bool holds = current.sequence.load(std::memory_order_acquire) == sequence;
  if (holds && base.total <= kMaxBytes) base.spare = &lane.records[at ^ 1];
  return base;
}

/// Somebody else did, or nobody: step 2, and what counts of this lane is `committed`, which whoever
/// made the change after its last one has seen to.
[[gnu::noinline]] Base OtherBase(Layout& file, Balance& lane, std::size_t account) {
  const Position position = ReadPosition(file, account);
  Base base{.head = position.head, .total = position.total};
  if (!position.valid) return base;
  if (position.head != 0) {
    Raise(BalanceOf(file, SlotOf(position.head), account).committed, SequenceOf(position.head));
  }
  const std::uint64_t committed = lane.committed.load(std::memory_order_acquire);
  const Record* current = FindRecord(lane, committed);
  if (committed != 0) {
    if (current == nullptr) return base;
    base.used = current->used_bytes.load(std::memory_order_acquire);
  }
  base.spare = &lane.records[current == &lane.records[0] ? 1 : 0];
  return base;
}

/// Step 3: the record that follows, unless the limit forbids it.
Outcome Prepare(const Base& base, const Change& change) {
  if (base.spare == nullptr || base.used > base.total) [[unlikely]]
    return Outcome::kCorrupt;
  std::uint64_t total = base.total;
  std::uint64_t mine = base.used;
  if (change.add) {
    if (change.bytes > change.limit || total > change.limit - change.bytes) [[unlikely]] {
      return Outcome::kOverLimit;
    }
    total += change.bytes;
    mine += change.bytes;
  } else {
    const std::uint64_t back = std::min(change.bytes, base.used);
    total -= back;
    mine -= back;
  }
  base.spare->sequence.store(SequenceOf(base.head) + 1, std::memory_order_release);
  base.spare->total_bytes.store(total, std::memory_order_release);
  base.spare->used_bytes.store(mine, std::memory_order_release);
  return Outcome::kDone;
}

[[gnu::always_inline]] inline Outcome Apply(Layout& file, std::size_t slot, std::size_t account,
                                            const Change& change) {
  Balance& lane = BalanceOf(file, slot, account);
  Word& head = HeadOf(file, account);
  for (int i = 0; i < kMaxRetries; ++i) {
    const std::uint64_t seen = head.load(std::memory_order_acquire);
    const bool own = seen != 0 && SlotOf(seen) == slot;
    const Base base = own ? OwnBase(lane, seen) : OtherBase(file, lane, account);
    const Outcome outcome = Prepare(base, change);
    if (outcome != Outcome::kDone) [[unlikely]]
      return outcome;
    const std::uint64_t sequence = SequenceOf(base.head) + 1;
    std::uint64_t expected = base.head;
    if (head.compare_exchange_strong(expected, PackHead(sequence, slot))) [[likely]] {
      // No compare-and-swap: others raise it to what head said, which was never more than this.
      lane.committed.store(sequence, std::memory_order_release);
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

AccountUse UseOf(const Layout& file, std::size_t slot, std::size_t account) {
  constexpr int kTries = 3;  // between changes by other threads
  const Word& head = HeadOf(file, account);
  for (int i = 0; i < kTries; ++i) {
    const std::uint64_t seen = head.load(std::memory_order_acquire);
    if (seen == 0 || SlotOf(seen) != slot) break;
    const Record* record = FindRecord(BalanceOf(file, slot, account), SequenceOf(seen));
    if (record == nullptr) continue;
    const AccountUse use{.total_bytes = record->total_bytes.load(std::memory_order_acquire),
                         .lane_bytes = record->used_bytes.load(std::memory_order_acquire)};
    const bool holds = head.load(std::memory_order_acquire) == seen;
    if (holds && use.total_bytes <= kMaxBytes) [[likely]]
      return use;
  }
  return {TotalBytes(file, account), LaneBytes(file, slot, account)};
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
