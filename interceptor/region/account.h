#pragma once

#include <cstddef>
#include <cstdint>

#include "interceptor/region/layout.h"

/// Exact accounting of one device, or of the host memory beside it, between processes that may be
/// killed at any instruction.
///
/// An account is a chain of changes. Its `head` names the last one: its sequence number
/// and the slot that made it. The change itself is a Record in that slot's lane; it holds the
/// container's total *and* the lane's own bytes after the change, so one compare-and-swap of `head`
/// moves both at once.
///
///   1. read head and the record it names       -> the total
///   2. if it is another lane's, raise that one's `committed` to its sequence (for an owner who
///   died before he could)
///   3. write the next record into the half of my lane that does not count
///   4. compare-and-swap head to it             -> committed, or start again
///   5. store its sequence in my lane's `committed`
///
/// Killed before 4: nothing happened. Killed after 4: the change counts, and whoever takes head to
/// another lane does step 5 first. While head names a lane, what counts of it is head's record,
/// whatever `committed` says; once it does not, `committed` is right. Sequence numbers only grow
/// (56 bits), so there is no ABA. Lock-free between processes; a lane has one writer at a time,
/// which Region ensures.
namespace tessera::region {

enum class Outcome {
  kDone,
  kOverLimit,  ///< total + bytes would exceed the limit; nothing changed
  kCorrupt,    ///< the file does not hold together; nothing changed
};

/// An account is that of a device's memory (its index) or of host memory (HostAccountOf).
template <typename File>
auto& HeadOf(File& file, std::size_t account) {
  return account < kMaxDevices ? file.devices[account].head : file.host[account - kMaxDevices].head;
}
template <typename File>
auto& BalanceOf(File& file, std::size_t slot, std::size_t account) {
  return account < kMaxDevices ? file.lanes[slot][account].memory
                               : file.host_balances[slot][account - kMaxDevices];
}

/// Adds `bytes` to lane (slot, account) and to the account's total if the total stays within
/// `limit`. REQUIRES: slot < kMaxProcesses, account < kMaxAccounts, the caller alone writes this
/// lane.
[[gnu::hot]] Outcome Add(Layout& file, std::size_t slot, std::size_t account, std::uint64_t bytes,
                         std::uint64_t limit);

/// Takes back min(bytes, what the lane has). Same requirements.
[[gnu::hot]] Outcome Subtract(Layout& file, std::size_t slot, std::size_t account,
                              std::uint64_t bytes);

/// The container's bytes in an account, and a lane's.
struct AccountUse {
  std::uint64_t total_bytes = 0;
  std::uint64_t lane_bytes = 0;
};
/// TotalBytes and LaneBytes, of one moment where that lane made the last change.
[[gnu::hot]] AccountUse UseOf(const Layout& file, std::size_t slot, std::size_t account);

/// The container's bytes in an account. Any thread, any time; kMaxBytes if the file is corrupt.
[[gnu::hot]] std::uint64_t TotalBytes(const Layout& file, std::size_t account);

/// What a lane has. Exact for its writer and for a lane whose owner is dead; a snapshot for others.
[[gnu::hot]] std::uint64_t LaneBytes(const Layout& file, std::size_t slot, std::size_t account);

}  // namespace tessera::region
