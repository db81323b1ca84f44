#include "extender/pending_events.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/log.h"
#include "common/json/json.h"
#include "extender/candidates.h"
#include "extender/reasons.h"
#include "extender/wire_objects.h"

namespace tessera::extender {
namespace {

using rapidjson::Value;

constexpr const char* kController = "tessera-extender";
constexpr std::size_t kMaxTold = 16384;
constexpr std::chrono::milliseconds kSyncPoll{100};

/// The message of PodScheduled, if it says unschedulable.
std::optional<std::string> UnschedulableMessage(const Value& pod) {
  const Value* conditions = json::FindPath(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->IsArray()) return std::nullopt;
  for (const Value& condition : conditions->GetArray()) {
    const auto text = [&](std::string_view name) {
      return json::GetStringOr(condition, name, "").value_or("");
    };
    if (condition.IsObject() && text("type") == "PodScheduled" && text("status") == "False" &&
        text("reason") == "Unschedulable") {
      return text("message");
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<WirePod> ReadUntold(const Value& pod) {
  if (!NodeNameOf(pod).empty() || HasEnded(pod) || ImportanceOf(pod).terminating)
    return std::nullopt;
  const auto message = UnschedulableMessage(pod);
  if (!message || TellsReason(*message)) return std::nullopt;
  auto read = ReadPod(pod);
  if (!read || read->request.containers.empty()) return std::nullopt;
  return *std::move(read);
}

PendingEvents::PendingEvents(kube::Client& client, const Clock& clock, Cache& cache,
                             const Ranking& ranking, VerdictCache& verdicts,
                             std::function<bool()> synced)
    : client_(client),
      clock_(clock),
      cache_(cache),
      ranking_(ranking),
      verdicts_(verdicts),
      synced_(std::move(synced)) {}

void PendingEvents::Start() {
  if (!thread_.joinable())
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void PendingEvents::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void PendingEvents::Tell(WirePod pod) {
  const std::lock_guard lock(mu_);
  const auto waits = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const WirePod& other) { return other.uid == pod.uid; });
  if (waits != waiting_.end()) {
    *waits = std::move(pod);
  } else if (waiting_.size() < kMaxWaiting) {
    waiting_.push_back(std::move(pod));
    wake_.notify_one();
  }
}

std::optional<kube::Event> PendingEvents::EventFor(const WirePod& pod) const {
  const auto snapshot = cache_.UpdateSnapshot();
  ExtenderArgs args{.pod = pod, .node_names = std::vector<std::string>{}, .nodes = {}};
  for (std::size_t i = 0; i < snapshot->size(); ++i)
    args.node_names->push_back(snapshot->view(i).name);
  bool fits = false;
  Reasons reasons;
  {
    auto verdicts = verdicts_.Read(pod.request, snapshot, ranking_.model());
    JudgeAll(args, verdicts, [&](std::string_view name, const Verdict& verdict) {
      fits = fits || verdict.fits;
      if (!verdict.fits) reasons.Add(name, verdict);
    });
  }
  if (fits || snapshot->size() == 0) return std::nullopt;
  return kube::Event{
      .regarding = {.kind = "Pod", .ns = pod.ns, .name = pod.name, .uid = pod.uid},
      .warning = true,
      .reason = "InsufficientGpu",
      .action = "Scheduling",
      .note = "0/" + std::to_string(snapshot->size()) + " nodes have room: " + reasons.Summary()};
}

void PendingEvents::Drop(std::string_view uid) {
  const std::lock_guard lock(mu_);
  std::erase_if(waiting_, [&](const WirePod& pod) { return pod.uid == uid; });
}

bool PendingEvents::Pace(const std::stop_token& stop) {
  std::unique_lock lock(mu_);
  wake_.wait_for(lock, stop, bucket_.Take(clock_.Now()), [] { return false; });
  return !stop.stop_requested();
}

void PendingEvents::Write(const kube::Event& event, const std::string& name) {
  const auto written =
      client_.Post("/apis/events.k8s.io/v1/namespaces/" + event.regarding.ns + "/events",
                   kube::EventJson(event, name, kController, kController, clock_.WallNow()));
  if (!written && written.error().code != Errc::kConflict) {
    log::Debug("event not written", {{"pod", event.regarding.ns + "/" + event.regarding.name},
                                     {"reason", written.error().message}});
  }
}

void PendingEvents::Run(const std::stop_token& stop) {
  std::unique_lock lock(mu_);
  while (wake_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    if (stop.stop_requested()) return;
    if (!synced_()) {  // half of the nodes would be half of the truth
      wake_.wait_for(lock, stop, kSyncPoll, [] { return false; });
      continue;
    }
    const WirePod pod = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    if (const auto event = EventFor(pod)) {
      if (told_.size() >= kMaxTold) told_.clear();
      const std::string name = kube::StableEventName(*event);
      // Only what is written takes a turn: pods that fit, or were told, hold up nobody.
      if (told_.insert(name).second) {
        if (!Pace(stop)) return;
        Write(*event, name);
      }
    }
    lock.lock();
  }
}

}  // namespace tessera::extender
