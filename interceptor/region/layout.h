#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

/// The file that a container's processes and the node's agent share. README.md is the format page.
/// Any change of a size, an offset or a meaning bumps kVersion.
namespace tessera::region {

inline constexpr std::uint64_t kMagic = 0x4e4f'4947'4552'5354;  // "TSREGION", little endian
inline constexpr std::uint32_t kVersion = 3;
inline constexpr std::size_t kMaxDevices = 16;
inline constexpr std::size_t kMaxProcesses = 128;
/// Threads of a process that count their launches in a word of their own.
inline constexpr std::size_t kCountingThreads = 4;
inline constexpr std::size_t kUuidSize = 48;  ///< "GPU-…" or "MIG-…" and zeros
/// No counter of bytes is ever larger; more than that is a scribbled file.
inline constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 50;

/// A context takes less.
inline constexpr std::uint64_t kMaxContextBytes = std::uint64_t{4} << 30;

using Word = std::atomic<std::uint64_t>;
using HalfWord = std::atomic<std::uint32_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8);
static_assert(HalfWord::is_always_lock_free && sizeof(HalfWord) == 4);

/// Written before the file gets its name, constant afterwards.
struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t size;  ///< of the whole file, bytes
  std::uint32_t device_count;
  std::uint32_t reserved[11];
};

/// What the agent's arbiter tells a container about one GPU, see grant.h. Only the agent writes
/// here; all zero until it does.
struct Grant {
  Word open_until_ns;   ///< CLOCK_MONOTONIC, or kOpenForAll, kOpenInRounds
  Word likely_open_ns;  ///< CLOCK_MONOTONIC; when a closed gate may open at the earliest: a hint
  Word heartbeat_ns;    ///< CLOCK_MONOTONIC, of the write
  Word check;           ///< CheckOf the three words above
  /// Of the time that the container's processes count as use, so much is work of the GPU, permille;
  /// 0: as they count it.
  Word work_permille;
  Word reserved[3];
};

/// What the container's processes want of one GPU: a bit for each slot. A process sets and clears
/// its own; whoever frees a dead owner's slot clears that. See grant.h.
struct Demand {
  Word wanting[kMaxProcesses / 64];  ///< launches wait for the gate, and nothing but it
  Word running[kMaxProcesses / 64];  ///< launches were let through, and may not have ended
  Word held[kMaxProcesses / 64];     ///< launches wait for the container's own share
  Word reserved[2];
};

/// What the container has used of one GPU's time, by all its processes. See pace.h.
struct Pace {
  Word paid_until_ns;     ///< CLOCK_MONOTONIC; the use so far is worth the share up to then
  Word counted_until_ns;  ///< CLOCK_MONOTONIC; no time before it is counted again
  Word used_ns;           ///< counted, ever
  Word throttled_ns;      ///< launches waited for the share, ever
  Word ended_launches;    ///< while it was counted, ever
  /// Of those, that were not behind others of the same process: each may count longer than its
  /// kernel.
  Word shallow_launches;
};

struct Device {
  char uuid[kUuidSize];    ///< constant
  Word limit_bytes;        ///< as the process that read its limits last knows it
  HalfWord cores_percent;  ///< 0: no share was asked for
  HalfWord policy;         ///< Policy
  /// The last committed change of this device's account: sequence << 8 | slot (see account.h).
  alignas(64) Word head;
  /// What a context of one process was seen to take, bytes; 0: not known. Part of what is used.
  Word context_bytes;
  Pace pace;
  alignas(64) Demand demand;
  alignas(64) Grant grant;
};

/// Who owns a slot. 0 is nobody.
struct Owner {
  Word identity;       ///< start time in clock ticks << 22 | pid
  Word pid_namespace;  ///< inode of the owner's pid namespace, 0 if unknown
};

/// One change of an account, complete before it is committed and constant while it is the last one.
struct Record {
  Word sequence;
  Word total_bytes;  ///< of the device in the container, after the change
  Word used_bytes;   ///< of the lane, after the change
};

/// What one process has in one account: of a device's memory, or of what goes beyond it into the
/// host's.
struct alignas(64) Balance {
  Record records[2];
  Word committed;  ///< sequence of the record that counts; 0: none, the lane has 0 bytes
  Word reserved;
};

/// One process's account of one device. The counters are never reset, not even when the slot
/// changes hands: their sum over all slots only grows.
struct alignas(64) Lane {
  Balance memory;
  Word launches;  ///< of threads without a word of their own: changed by atomic adds
  Word denied;    ///< allocations refused
  /// Each is written by one thread at a time, which needs no atomic add for that.
  Word thread_launches[kCountingThreads];
  Word reserved_counters[2];
};

/// Host memory that the container may take where its share of a device is used up.
struct alignas(64) HostMemory {
  Word limit_bytes;       ///< as the process that read its limits last knows it; 0: none
  Word unfit;             ///< not 0: a process found that the device cannot use such memory
  alignas(32) Word head;  ///< as Device::head, of this account
  Word reserved[3];
};

struct Layout {
  Header header;
  Device devices[kMaxDevices];
  Owner owners[kMaxProcesses];
  Lane lanes[kMaxProcesses][kMaxDevices];
  HostMemory host[kMaxDevices];
  Balance host_balances[kMaxProcesses][kMaxDevices];
};

/// The accounts of a container: one for each device's memory, and one for the host memory that its
/// programs use in place of a device's.
inline constexpr std::size_t kMaxAccounts = 2 * kMaxDevices;
constexpr std::size_t HostAccountOf(std::size_t device) { return kMaxDevices + device; }

/// What a lane's owners have launched, all of them together.
inline std::uint64_t Launches(const Lane& lane) {
  std::uint64_t sum = lane.launches.load(std::memory_order_relaxed);
  for (const Word& own : lane.thread_launches) sum += own.load(std::memory_order_relaxed);
  return sum;
}

enum class Policy : std::uint32_t { kFixedShare = 0, kBurstShare = 1, kBestEffort = 2 };

static_assert(sizeof(Header) == 64);
static_assert(offsetof(Header, magic) == 0);
static_assert(offsetof(Header, version) == 8);
static_assert(offsetof(Header, size) == 12);
static_assert(offsetof(Header, device_count) == 16);
static_assert(offsetof(Header, reserved) == 20);

static_assert(sizeof(Grant) == 64);
static_assert(offsetof(Grant, open_until_ns) == 0);
static_assert(offsetof(Grant, likely_open_ns) == 8);
static_assert(offsetof(Grant, heartbeat_ns) == 16);
static_assert(offsetof(Grant, check) == 24);
static_assert(offsetof(Grant, work_permille) == 32);
static_assert(offsetof(Grant, reserved) == 40);

static_assert(sizeof(Demand) == 64);
static_assert(offsetof(Demand, wanting) == 0);
static_assert(offsetof(Demand, running) == 16);
static_assert(offsetof(Demand, held) == 32);
static_assert(offsetof(Demand, reserved) == 48);

static_assert(sizeof(Device) == 256);
static_assert(offsetof(Device, uuid) == 0);
static_assert(offsetof(Device, limit_bytes) == 48);
static_assert(offsetof(Device, cores_percent) == 56);
static_assert(offsetof(Device, policy) == 60);
static_assert(offsetof(Device, head) == 64);
static_assert(offsetof(Device, context_bytes) == 72);
static_assert(offsetof(Device, pace) == 80);
static_assert(offsetof(Device, demand) == 128);
static_assert(offsetof(Device, grant) == 192);

static_assert(sizeof(Pace) == 48);
static_assert(offsetof(Pace, paid_until_ns) == 0);
static_assert(offsetof(Pace, counted_until_ns) == 8);
static_assert(offsetof(Pace, used_ns) == 16);
static_assert(offsetof(Pace, throttled_ns) == 24);
static_assert(offsetof(Pace, ended_launches) == 32);
static_assert(offsetof(Pace, shallow_launches) == 40);

static_assert(sizeof(Owner) == 16);
static_assert(offsetof(Owner, identity) == 0);
static_assert(offsetof(Owner, pid_namespace) == 8);

static_assert(sizeof(Record) == 24);
static_assert(offsetof(Record, sequence) == 0);
static_assert(offsetof(Record, total_bytes) == 8);
static_assert(offsetof(Record, used_bytes) == 16);

static_assert(sizeof(Balance) == 64);
static_assert(offsetof(Balance, records) == 0);
static_assert(offsetof(Balance, committed) == 48);
static_assert(offsetof(Balance, reserved) == 56);

static_assert(sizeof(Lane) == 128);
static_assert(offsetof(Lane, memory) == 0);
static_assert(offsetof(Lane, launches) == 64);
static_assert(offsetof(Lane, denied) == 72);
static_assert(offsetof(Lane, thread_launches) == 80);
static_assert(offsetof(Lane, reserved_counters) == 112);

static_assert(offsetof(Layout, header) == 0);
static_assert(offsetof(Layout, devices) == 64);
static_assert(offsetof(Layout, owners) == 4160);
static_assert(offsetof(Layout, lanes) == 6208);
static_assert(offsetof(Layout, host) == 268352);
static_assert(offsetof(Layout, host_balances) == 269376);
static_assert(sizeof(Layout) == 400448);

static_assert(sizeof(HostMemory) == 64);
static_assert(offsetof(HostMemory, limit_bytes) == 0);
static_assert(offsetof(HostMemory, unfit) == 8);
static_assert(offsetof(HostMemory, head) == 32);
static_assert(offsetof(HostMemory, reserved) == 40);

// --- The two packed words
// --------------------------------------------------------------------------
inline constexpr unsigned kPidBits = 22;  // PID_MAX_LIMIT of Linux
inline constexpr unsigned kSlotBits = 8;
static_assert(kMaxProcesses <= (std::size_t{1} << kSlotBits));

constexpr std::uint64_t PackIdentity(std::uint64_t pid, std::uint64_t start_ticks) {
  return start_ticks << kPidBits | (pid & ((std::uint64_t{1} << kPidBits) - 1));
}
constexpr std::uint64_t PidOf(std::uint64_t identity) {
  return identity & ((std::uint64_t{1} << kPidBits) - 1);
}
constexpr std::uint64_t StartTicksOf(std::uint64_t identity) { return identity >> kPidBits; }

constexpr std::uint64_t PackHead(std::uint64_t sequence, std::size_t slot) {
  return sequence << kSlotBits | slot;
}
constexpr std::uint64_t SequenceOf(std::uint64_t head) { return head >> kSlotBits; }
constexpr std::size_t SlotOf(std::uint64_t head) {
  return static_cast<std::size_t>(head & ((std::uint64_t{1} << kSlotBits) - 1));
}

}  // namespace tessera::region
