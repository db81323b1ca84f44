#pragma once

#include <cstdint>

namespace tessera::agent {

/// Others were there so lately that work has to be held ready for windows.
inline constexpr std::uint64_t kLatelyNs = 2'000'000'000;
/// Two that wanted or ran within this time of each other contend.
inline constexpr std::uint64_t kContendingNs = 100'000'000;
/// So long nobody has to have pressed until windows end.
inline constexpr std::uint64_t kCalmNs = 500'000'000;
/// Who presses again so soon after windows ended is pressed by the others.
inline constexpr std::uint64_t kRelapseNs = 2'000'000'000;
inline constexpr std::uint64_t kMostCalmNs = 16'000'000'000;

enum class ArbiterMode {
  kFree,     ///< at most one container uses the GPU: all gates are open
  kRounds,   ///< others were there lately: open, but nobody queues far ahead
  kWindows,  ///< at least two contend, and one would take more than it has
};

/// Whether a GPU's time has to be handed out in windows. Where containers that wait for their CPU
/// share a GPU, windows would leave it idle for each of them in turn, and the hardware lets them
/// run side by side as fast as alone; where one of them is never satisfied, only windows keep the
/// others' shares. Pure. Thread-compatible.
class ModeChooser {
 public:
  struct Seen {
    bool has_shares = false;  ///< somebody is to have less than all, or only the rest
    int lately = 0;           ///< containers that wanted or ran in kLatelyNs
    int contending = 0;       ///< in kContendingNs
    bool pressing = false;    ///< one of them keeps the GPU busy for as long as it may
  };
  ArbiterMode Choose(std::uint64_t now_ns, const Seen& seen);
  ArbiterMode mode() const { return mode_; }

 private:
  ArbiterMode Next(std::uint64_t now_ns, const Seen& seen);

  ArbiterMode mode_ = ArbiterMode::kFree;
  std::uint64_t pressed_ns_ = 0;     ///< somebody pressed last
  std::uint64_t calm_from_ns_ = 0;   ///< windows ended because nobody pressed; 0: never
  std::uint64_t calm_ns_ = kCalmNs;  ///< doubles with each relapse
};

}  // namespace tessera::agent
