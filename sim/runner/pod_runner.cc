#include "sim/runner/pod_runner.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/base/log.h"
#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using binpack::ContainerKind;
using rapidjson::Value;

/// A simulated container has no reason to take long to end.
constexpr std::chrono::seconds kGrace{3};
/// A status that the API server did not take is told again, as kubelets do.
constexpr std::chrono::milliseconds kRetry{200};

const Value* ContainerAt(const Value& pod, bool init, rapidjson::SizeType index) {
  const Value* list = json::FindPath(pod, {"spec", init ? "initContainers" : "containers"});
  return list != nullptr && list->IsArray() && index < list->Size() ? &(*list)[index] : nullptr;
}

}  // namespace

PodRunner::PodRunner(PodObject pod, const NodeSettings& node, kube::Client& client,
                     const Clock& clock)
    : node_(node), client_(client), clock_(clock), pod_(std::move(pod)) {
  thread_ = std::jthread([this] { Run(); });
}

PodRunner::~PodRunner() {
  {
    const std::lock_guard lock(mu_);
    stopping_ = true;
    dirty_ = true;
  }
  wake_.notify_all();
  thread_.join();
  containers_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(PodFolder(*pod(), node_.volumes.pods_dir) / "volumes", ignored);
}

void PodRunner::Update(PodObject pod) {
  {
    const std::lock_guard lock(mu_);
    pod_ = std::move(pod);
    pod_changed_ = true;
  }
  Wake();
}

PodObject PodRunner::pod() const {
  const std::lock_guard lock(mu_);
  return pod_;
}

void PodRunner::Wake() {
  {
    const std::lock_guard lock(mu_);
    dirty_ = true;
  }
  wake_.notify_all();
}

void PodRunner::Run() {
  std::error_code code;
  std::filesystem::create_directories(PodFolder(*pod(), node_.volumes.pods_dir), code);
  auto volumes = MaterialiseVolumes(*pod(), node_.volumes);
  if (volumes) {
    BuildContainers(*std::move(volumes));
  } else {
    Publish("Pending", "volumes: " + volumes.error().message);
    done_ = true;
  }
  std::unique_lock lock(mu_);
  while (!stopping_) {
    const bool refresh = std::exchange(pod_changed_, false);
    dirty_ = false;
    lock.unlock();
    if (refresh) {
      const auto refreshed = RefreshDownwardVolumes(*pod(), node_.volumes);
      if (!refreshed) log::Warn("downward API", {{"reason", refreshed.error().message}});
    }
    if (!done_) Advance();
    lock.lock();
    if (told_) {
      wake_.wait(lock, [this] { return dirty_; });
    } else {
      wake_.wait_for(lock, kRetry, [this] { return dirty_; });
    }
  }
  lock.unlock();
  StopContainers();
}

void PodRunner::BuildContainers(VolumePaths volumes) {
  const PodObject first = pod();
  const auto policy = ParseRestartPolicy(TextAt(*first, {"spec", "restartPolicy"}));
  const auto shared = std::make_shared<const VolumePaths>(std::move(volumes));
  for (const bool init : {true, false}) {
    for (rapidjson::SizeType i = 0; const Value* c = ContainerAt(*first, init, i); ++i) {
      const bool sidecar = init && TextAt(*c, {"restartPolicy"}) == "Always";
      const auto kind = sidecar ? ContainerKind::kSidecar
                        : init  ? ContainerKind::kInit
                                : ContainerKind::kApp;
      auto plan = [this, init, i, shared]() -> Result<ProcessSpec> {
        const PodObject now = pod();
        const Value* container = ContainerAt(*now, init, i);
        if (container == nullptr)
          return Fail(Errc::kNotFound, "the container is gone from the pod");
        return PlanContainer(*now, *container, *shared, node_);
      };
      containers_.push_back(std::make_unique<ContainerRunner>(
          ContainerRunner::Settings{kind, policy, plan, [this] { Wake(); }}, clock_));
      names_.push_back({TextAt(*c, {"name"}), TextAt(*c, {"image"}), {}});
    }
  }
}

void PodRunner::Advance() {
  std::vector<ContainerView> views;
  for (std::size_t i = 0; i < containers_.size(); ++i) {
    names_[i].report = containers_[i]->report();
    views.push_back(names_[i].report.view);
  }
  const PodStep step = NextStep(views);
  for (const std::size_t i : step.start) containers_[i]->Start();
  if (step.stop_sidecars) {
    for (const auto& container : containers_) container->RequestStop();
  }
  told_ = Publish(step.phase, "");
  done_ = step.finished && told_;
}

bool PodRunner::Publish(const std::string& phase, const std::string& message) {
  const std::string patch = StatusPatch(phase, message, names_);
  if (patch == last_patch_) return true;
  const PodObject now = pod();
  const std::string path = PodPath(*now) + "/status";
  const auto written = client_.Patch(path, kube::PatchType::kMerge, patch);
  if (written) {
    last_patch_ = patch;
    return true;
  }
  if (written.error().code == Errc::kNotFound) return true;
  log::Warn("pod status not written", {{"pod", path}, {"reason", written.error().message}});
  return false;
}

bool PodRunner::AllEnded() const {
  return std::all_of(containers_.begin(), containers_.end(), [](const auto& container) {
    return container->report().view.state == ContainerState::kEnded;
  });
}

void PodRunner::StopContainers() {
  for (const auto& container : containers_) container->RequestStop();
  std::unique_lock lock(mu_);
  const auto deadline = std::chrono::steady_clock::now() + kGrace;
  while (true) {
    dirty_ = false;
    lock.unlock();
    const bool ended = AllEnded();
    lock.lock();
    if (ended) return;
    if (!wake_.wait_until(lock, deadline, [this] { return dirty_; })) break;
  }
  lock.unlock();
  for (const auto& container : containers_) container->Kill();
}

}  // namespace tessera::sim
