#include "agent/mps/supervisor.h"

#include <utility>

#include "agent/mps/process.h"

namespace tessera::agent::mps {
namespace {

/// How often a daemon is asked that is as it should be, or that only its clients can help; each
/// question starts a program.
constexpr std::chrono::seconds kCalmInterval{5};
constexpr std::chrono::milliseconds kBusyInterval{500};

}  // namespace

Supervisor::Supervisor(Options options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), layout_(options_.root) {}

void Supervisor::SetGpus(std::set<std::string> uuids) {
  std::erase_if(uuids, [](const std::string& uuid) { return !IsPlainUuid(uuid); });
  const std::lock_guard lock(mu_);
  uuids_ = std::move(uuids);
}

void Supervisor::SetWanted(std::set<std::string> uuids) {
  const std::lock_guard lock(mu_);
  wanted_ = std::move(uuids);
}

State Supervisor::Now() const {
  const std::lock_guard lock(mu_);
  return state_;
}

std::vector<Event> Supervisor::Tick() {
  std::set<std::string> uuids;
  std::optional<std::set<std::string>> wanted;
  {
    const std::lock_guard lock(mu_);
    uuids = uuids_;
    wanted = wanted_;
  }
  std::erase_if(gpus_, [&](const auto& entry) { return !uuids.contains(entry.first); });
  for (const std::string& uuid : uuids) gpus_.try_emplace(uuid);
  const auto program = FindProgram(options_.program);
  if (program) {
    unavailable_.clear();
    const Control control(*program, options_.arguments, layout_, options_.patience);
    for (auto& [uuid, gpu] : gpus_) {
      Look(uuid, gpu, wanted ? std::optional(wanted->contains(uuid)) : std::nullopt, control);
    }
  } else {
    CloseAll(options_.program + " is not there");
  }
  State state{.available = program.has_value(), .reason = unavailable_, .gpus = {}};
  for (const auto& [uuid, gpu] : gpus_) state.gpus[uuid] = gpu.state;
  const std::lock_guard lock(mu_);
  state_ = std::move(state);
  return std::exchange(events_, {});
}

void Supervisor::CloseAll(const std::string& reason) {
  if (unavailable_ != reason) events_.push_back({"MPS is not available", "", reason});
  unavailable_ = reason;
  for (auto& [uuid, gpu] : gpus_) {
    if (gpu.prepared || layout_.IsOpen(uuid)) layout_.SetGate(uuid, false);
    gpu.state = {};
    gpu.quiet = false;
    gpu.next_look = {};
  }
}

void Supervisor::Trouble(const char* what, const std::string& uuid, Gpu& gpu,
                         const std::string& reason) {
  const std::string trouble = what + (": " + reason);
  if (gpu.trouble != trouble) events_.push_back({what, uuid, reason});
  gpu.trouble = trouble;
}

void Supervisor::Look(const std::string& uuid, Gpu& gpu, std::optional<bool> wanted,
                      const Control& control) {
  const auto now = clock_.Now();
  const bool wants = wanted.value_or(false);
  if (gpu.quiet && wanted.has_value() && !wants) return;
  if (gpu.state.wanted == wants && now < gpu.next_look) return;
  if (!gpu.prepared) {
    const std::string why = layout_.Prepare(uuid);
    if (!why.empty()) return Trouble("folders of MPS cannot be made", uuid, gpu, why);
    gpu.prepared = true;
  }
  gpu.state.wanted = wants;
  gpu.state.seen = control.Ask(uuid);
  Act(uuid, gpu, gpu.planner.Decide(wanted, gpu.state.seen, now), control);
  const bool calm = wanted.has_value() && (gpu.state.open == wants || gpu.state.seen.fault);
  gpu.next_look = now + (calm ? kCalmInterval : kBusyInterval);
  gpu.quiet = wanted.has_value() && !wants && !gpu.state.seen.answers;
}

void Supervisor::Act(const std::string& uuid, Gpu& gpu, const Plan& plan, const Control& control) {
  GpuState& state = gpu.state;
  state.offered = plan.offered;
  state.restarts = gpu.planner.restarts();
  if (const auto why = layout_.SetGate(uuid, plan.open); !why.empty()) {
    state.open = layout_.IsOpen(uuid);
    state.offered = false;
    return Trouble("gate of MPS cannot be set", uuid, gpu, why);
  }
  if (plan.open != state.open)
    events_.push_back({plan.open ? "MPS daemon is ready" : "MPS daemon is closed", uuid, ""});
  state.open = plan.open;
  if (plan.open) gpu.trouble.clear();
  if (state.seen.fault) Trouble("MPS server has a fault", uuid, gpu, "its clients must end");
  if (plan.action == Action::kStart) {
    const auto why = control.Start(uuid);
    if (why.empty()) {
      events_.push_back({"MPS daemon started", uuid, ""});
    } else {
      Trouble("MPS daemon was not started", uuid, gpu, why);
    }
  }
  if (plan.action == Action::kQuit) {
    const auto why = control.Quit(uuid);
    events_.push_back({"MPS daemon quits", uuid, why});
  }
}

}  // namespace tessera::agent::mps
