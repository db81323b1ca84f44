#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/inventory_tracker.h"
#include "agent/nvml.h"
#include "common/base/clock.h"
#include "common/base/thread_annotations.h"

namespace tessera::agent {

/// The node's GPUs as NVML tells them, read again at each Refresh. NVML is opened anew while it
/// does not answer and while a GPU is in trouble, because a driver that was reloaded and a GPU that
/// was reset show up only then. A driver may also hang: a Refresh that takes longer than kPatience
/// counts as no answer until it is over. Refresh: one thread. The rest: thread-safe.
class Hardware {
 public:
  static constexpr std::chrono::seconds kPatience{30};

  using Open = std::function<Result<std::unique_ptr<Nvml>>()>;
  /// `clock` must outlive this.
  Hardware(Open open, const Clock& clock) : open_(std::move(open)), clock_(clock) {}

  /// The inventory now.
  contract::Inventory Refresh();

  struct State {
    contract::Inventory inventory;
    NvmlReading reading;  ///< the last that worked
    bool up = false;      ///< NVML answered at the last Refresh
    std::string reason;   ///< why not
    bool known = false;   ///< `inventory` is what to tell: a Refresh has ended, or hangs
  };
  State Now() const;

 private:
  Result<NvmlReading> Read();
  void SetAsking(bool asking);

  const Open open_;
  const Clock& clock_;
  std::unique_ptr<Nvml> nvml_;  // Refresh's thread
  InventoryTracker tracker_;    // Refresh's thread
  mutable std::mutex mu_;
  State state_ TESSERA_GUARDED_BY(mu_) = {
      .inventory = {}, .reading = {}, .up = false, .reason = "not read yet", .known = false};
  /// When the Refresh that runs began.
  std::optional<std::chrono::steady_clock::time_point> asking_since_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::agent
