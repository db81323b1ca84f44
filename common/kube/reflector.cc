#include "common/kube/reflector.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "common/base/log.h"
#include "common/kube/backoff.h"
#include "common/kube/random.h"

namespace tessera::kube {
namespace {

/// Watches that fail in a row before a new list is tried: the server may have lost our version
/// without saying.
constexpr int kMaxFailedWatches = 4;

void WaitFor(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mu;
  std::condition_variable_any never;
  std::unique_lock lock(mu);
  never.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

Reflector::Reflector(Client& client, std::string path, ReflectorHandlers handlers,
                     const RetryPolicy& retry)
    : client_(client), path_(std::move(path)), retry_(retry), collection_(std::move(handlers)) {}

Reflector::~Reflector() { Stop(); }

void Reflector::Start() {
  if (!thread_.joinable())
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Reflector::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

std::uint64_t Reflector::RequestList() {
  std::stop_source round;
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mu_);
    ticket = ++requested_;
    round = round_;
  }
  round.request_stop();
  return ticket;
}

bool Reflector::AwaitList(std::uint64_t ticket, std::chrono::milliseconds limit) {
  std::unique_lock lock(mu_);
  return told_.wait_for(lock, limit, [&] { return listed_ >= ticket; });
}

bool Reflector::IsListAwaited() const {
  const std::lock_guard lock(mu_);
  return listed_ < requested_;
}

std::stop_source Reflector::NewRound() {
  const std::lock_guard lock(mu_);
  return round_ = std::stop_source{};
}

bool Reflector::ListOnce() {
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mu_);
    ticket = requested_;
  }
  collection_.BeginList();
  const auto list =
      collection_.keep() ? client_.ListParts(path_, collection_.keep()) : client_.List(path_);
  if (!list) {
    log::Warn("list failed", {{"path", path_}, {"reason", list.error().message}});
    return false;
  }
  collection_.Replace(*list);
  synced_ = true;
  const std::lock_guard lock(mu_);
  listed_ = ticket;
  told_.notify_all();
  return true;
}

Result<void> Reflector::WatchOnce(const std::stop_token& stop) {
  return client_.Watch(
      path_, collection_.resource_version(),
      [&](WatchEvent& event) {
        if (!stop.stop_requested()) collection_.Apply(event);
      },
      stop);
}

void Reflector::Run(const std::stop_token& stop) {
  GrowingWait wait(retry_);
  bool listed = false;
  int failed_watches = 0;
  while (!stop.stop_requested()) {
    std::stop_source round = NewRound();
    const std::stop_callback ends(stop, [&round] { round.request_stop(); });
    if (!listed || IsListAwaited()) {
      listed = ListOnce();
      if (!listed) {
        WaitFor(wait.Next(RandomUnit()), stop);
        continue;
      }
    }
    const std::string before = collection_.resource_version();
    const auto ended = WatchOnce(round.get_token());
    // Progress means that the peer works; without it even a clean end is paced.
    if (collection_.resource_version() != before) {
      wait.Reset();
      failed_watches = 0;
    }
    if (stop.stop_requested()) return;
    if (!ended) {
      log::Info("watch ended", {{"path", path_}, {"reason", ended.error().message}});
      // Another error than "away" (a refusal, say) will not go away for this version either.
      listed = ended.error().code == Errc::kUnavailable && ++failed_watches < kMaxFailedWatches;
      if (!listed) failed_watches = 0;
    }
    listed = listed && !collection_.wants_list();
    WaitFor(wait.Next(RandomUnit()), round.get_token());
  }
}

}  // namespace tessera::kube
