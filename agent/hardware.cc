#include "agent/hardware.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace tessera::agent {

Result<NvmlReading> Hardware::Read() {
  if (tracker_.HoldEnds(clock_.Now())) nvml_.reset();
  if (!nvml_) {
    TESSERA_TRY(nvml_, open_());
  }
  auto reading = nvml_->Read();
  const bool trouble =
      !reading || std::any_of(reading->gpus.begin(), reading->gpus.end(),
                              [](const auto& gpu) { return !gpu.trouble.empty(); });
  if (trouble) nvml_.reset();
  return reading;
}

void Hardware::SetAsking(bool asking) {
  const std::lock_guard lock(mu_);
  asking_since_.reset();
  if (asking) asking_since_ = clock_.Now();
}

contract::Inventory Hardware::Refresh() {
  SetAsking(true);
  auto reading = Read();
  SetAsking(false);
  State state;
  state.up = reading.has_value();
  state.known = true;
  state.reason = reading ? "" : reading.error().message;
  state.inventory =
      reading ? tracker_.Update(*reading, clock_.Now()) : tracker_.UpdateUnavailable(state.reason);
  if (reading) state.reading = *std::move(reading);
  contract::Inventory inventory = state.inventory;
  const std::lock_guard lock(mu_);
  if (state.up != state_.up || state.reason != state_.reason) {
    if (state.up) {
      log::Info("NVML answers", {{"gpus", inventory.gpus.size()}});
    } else {
      log::Warn("NVML does not answer; no GPU is offered", {{"reason", state.reason}});
    }
  }
  state_ = std::move(state);
  return inventory;
}

Hardware::State Hardware::Now() const {
  const std::lock_guard lock(mu_);
  State now = state_;
  if (!asking_since_ || clock_.Now() - *asking_since_ < kPatience) return now;
  now.up = false;
  now.known = true;
  now.reason = "NVML hangs: a call has not returned";
  for (auto& gpu : now.inventory.gpus) {
    gpu.healthy = false;
    gpu.health_reason = now.reason;
  }
  return now;
}

}  // namespace tessera::agent
