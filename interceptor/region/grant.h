#pragma once

#include <cstdint>

#include "interceptor/region/layout.h"

/// Who may use a GPU when. The agent grants each container of a GPU a window; the container's
/// processes let launches through while it is open, and say by three bits what they want:
///
///   wanting  launches wait for the window, and for nothing else
///   held     launches wait for the container's own share, whatever the window says
///   running  work was let through and may not have ended
///
/// A window ends by its time, or earlier by another grant. Then the processes let nothing more
/// through, wait for what runs, and clear `running`; only when no process of the container runs
/// does the agent open the next container's window, so windows are disjoint and what a container
/// uses is what it costs the others. A process sets `running` before it lets anything through and
/// looks at the grant once more after that; the agent looks at `running` once more after it took a
/// window away. So one of the two sees the other. Without an agent (no valid grant for
/// kGrantLifeNs) each container keeps its own share by its pace (pace.h).
///
/// What processes count as use is the time in which their launches are under way: more than the GPU
/// works, for some microseconds around each short kernel. The agent knows how long the GPU was at
/// work for all of them, and tells each what part of its count that is.
namespace tessera::region {

/// A grant that was not renewed for so long says nothing.
inline constexpr std::uint64_t kGrantLifeNs = 100'000'000;

/// Nobody else is there: no gate, no rounds.
inline constexpr std::uint64_t kOpenForAll = UINT64_MAX;
/// No end, but others are there: let through what can be waited for soon (rounds).
inline constexpr std::uint64_t kOpenInRounds = UINT64_MAX - 1;

/// So that a grant that is read while it is written is known for what it is.
constexpr std::uint64_t CheckOf(std::uint64_t open_until_ns, std::uint64_t likely_open_ns,
                                std::uint64_t heartbeat_ns) {
  constexpr std::uint64_t kSalt = 0x746e'6172'4720'5354;
  return (open_until_ns ^ kSalt) + 3 * likely_open_ns + 5 * heartbeat_ns;
}

/// What launches wait for.
enum class WaitsFor { kNothing, kWindow, kShare };

inline constexpr std::uint32_t kAllWork = 1000;
/// A smaller part than this is no kernel's. It bounds what a wrong word can do.
inline constexpr std::uint32_t kLeastWork = 50;

/// A grant as it was at one moment.
struct GrantView {
  bool valid = false;  ///< false: there is no agent, as far as this tells
  std::uint64_t open_until_ns = 0;
  std::uint64_t likely_open_ns = 0;
  std::uint32_t work_permille = kAllWork;  ///< of what is counted, kLeastWork to kAllWork

  bool IsOpen(std::uint64_t now_ns) const { return now_ns < open_until_ns; }
  bool HasEnd() const { return open_until_ns < kOpenInRounds; }
};

constexpr std::uint32_t WorkPermille(std::uint64_t word) {
  if (word == 0 || word > kAllWork) return kAllWork;
  return word < kLeastWork ? kLeastWork : static_cast<std::uint32_t>(word);
}

/// Tries again where it meets the agent's write. Any thread.
inline GrantView ReadGrant(const Grant& grant, std::uint64_t now_ns) {
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    const std::uint64_t check = grant.check.load(std::memory_order_acquire);
    const std::uint64_t until = grant.open_until_ns.load(std::memory_order_acquire);
    const std::uint64_t likely = grant.likely_open_ns.load(std::memory_order_acquire);
    const std::uint64_t heartbeat = grant.heartbeat_ns.load(std::memory_order_acquire);
    if (heartbeat == 0) break;
    if (CheckOf(until, likely, heartbeat) != check) continue;
    // A heartbeat from the future is another machine's or a scribbler's; a moment of it is a clock
    // that was read before.
    const bool fresh =
        now_ns < heartbeat ? heartbeat - now_ns < kGrantLifeNs : now_ns - heartbeat < kGrantLifeNs;
    return {.valid = fresh,
            .open_until_ns = until,
            .likely_open_ns = likely,
            .work_permille = WorkPermille(grant.work_permille.load(std::memory_order_relaxed))};
  }
  return {};
}

inline void SetBit(Word (&bits)[kMaxProcesses / 64], std::size_t slot, bool on) {
  const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
  if (((bits[slot / 64].load() & bit) != 0) == on) return;
  if (on) {
    bits[slot / 64].fetch_or(bit);
  } else {
    bits[slot / 64].fetch_and(~bit);
  }
}

}  // namespace tessera::region
