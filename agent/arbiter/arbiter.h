#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "agent/arbiter/contention.h"
#include "agent/arbiter/mode.h"
#include "agent/arbiter/tenant.h"

/// Who of the containers that share a GPU may use it when: disjoint, work-conserving windows by
/// weighted fair queueing. Pure: the caller looks and writes. README.md has the rules and their
/// reasons.
namespace tessera::agent {

/// Two windows of which one ends cost some 0.3 ms of the GPU: measured on an H200, windows of 5 ms
/// lose 3 percent, of 20 ms 1 percent. It is also what a newcomer waits for at most.
inline constexpr std::uint64_t kWindowNs = 20'000'000;
/// How long work may run on after its window before the next window opens beside it.
inline constexpr std::uint64_t kPatienceNs = 100'000'000;

/// The arbiter of one GPU.
///
///   kFree / kRounds --ModeChooser--> kWindows: all closed --nobody runs--> window of A --+
///                                       ^                                                |
///                                       +-- closed <--- time over, given up, preempted --+
///
/// One thread only.
class Arbiter {
 public:
  /// What all of `seen` are told from now on, in their order, until the next step. What tenants
  /// want must have been read after `now_ns`, and after the last step's grants were written: then a
  /// container that does not run after its window was closed cannot begin to.
  /// REQUIRES: now_ns never goes back.
  const std::vector<TenantGrant>& Step(std::uint64_t now_ns, std::span<const TenantSeen> seen);

  /// When to step again at the latest; the last step's time or earlier: at once.
  std::uint64_t look_at_ns() const { return look_at_ns_; }

  ArbiterMode mode() const { return contention_.mode(); }
  std::uint64_t windows_total() const { return windows_total_; }
  /// Windows that opened while work of an earlier one still ran.
  std::uint64_t overruns_total() const { return overruns_total_; }
  /// Nothing if the last step did not see it.
  const TenantTotals* TotalsOf(std::uint64_t key) const;

 private:
  void Match(std::uint64_t now_ns, std::span<const TenantSeen> seen);
  void HandOut(std::uint64_t now_ns);
  void TendWindow(std::uint64_t now_ns);
  bool HasToEnd(std::uint64_t now_ns, const Tenant* next);
  bool GivesUp(std::uint64_t now_ns);
  bool MayInterrupt(const Tenant& next) const;
  void Prolong(std::uint64_t now_ns, const Tenant* next);
  /// The gate of the holder is open until the window's end; where somebody may soon interrupt it no
  /// longer than `until_ns`, since what it has queued by then is waited for.
  void OpenGate(std::uint64_t now_ns, std::uint64_t until_ns);
  void Open(std::uint64_t now_ns, Tenant& next);
  void Close(std::uint64_t at_ns, const Tenant* changer = nullptr);
  void CloseAll(std::uint64_t now_ns);
  bool IsStuck(const Tenant& tenant, std::uint64_t now_ns) const;
  bool OthersRun(const Tenant& next, std::uint64_t now_ns) const;
  /// The one whose turn it is among those that want and have no window; null: nobody wants.
  Tenant* Next(std::uint64_t now_ns);
  void WriteGrants(std::uint64_t now_ns);
  std::uint64_t LikelyNextNs() const;
  std::uint64_t NextLook(std::uint64_t now_ns, const Tenant* next) const;

  std::map<std::uint64_t, Tenant> tenants_;
  std::vector<Tenant*> rows_;  ///< in the order of the last step's `seen`
  std::vector<TenantGrant> grants_;
  Contention contention_;
  std::uint64_t round_ = 0;
  std::uint64_t last_step_ns_ = 0;
  std::uint64_t look_at_ns_ = 0;

  Tenant* holder_ = nullptr;           ///< whose window is open
  std::uint64_t until_ns_ = 0;         ///< until when its gate is open, or the last one's was
  std::uint64_t window_until_ns_ = 0;  ///< when its window ends, at the latest
  std::uint64_t opened_ns_ = 0;
  bool holder_ran_ = false;  ///< in this window
  /// Who made the last window change hands before its time was over, by giving it up or by coming
  /// back; null a millisecond later.
  const Tenant* changer_ = nullptr;
  std::uint64_t changed_ns_ = 0;
  std::uint64_t launches_before_ = 0;  ///< of the holder, when its window opened

  std::uint64_t windows_total_ = 0;
  std::uint64_t overruns_total_ = 0;
};

}  // namespace tessera::agent
