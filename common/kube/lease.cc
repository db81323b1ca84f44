#include "common/kube/lease.h"

#include <condition_variable>
#include <utility>

#include "common/base/log.h"
#include "common/kube/random.h"

namespace tessera::kube {

LeaderElector::LeaderElector(Client& client, const Clock& clock, LeaseOptions options,
                             std::function<void(bool)> on_change)
    : client_(client),
      clock_(clock),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      collection_("/apis/coordination.k8s.io/v1/namespaces/" + options_.ns + "/leases"),
      judge_(options_.identity) {}

LeaderElector::~LeaderElector() { Stop(); }

void LeaderElector::Start() {
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mu;
    std::condition_variable_any never;
    std::unique_lock lock(mu);
    while (!stop.stop_requested()) {
      Tick();
      const auto period =
          std::chrono::duration_cast<std::chrono::milliseconds>(options_.retry_period);
      never.wait_for(lock, stop,
                     period + std::chrono::duration_cast<std::chrono::milliseconds>(period * 0.2 *
                                                                                    RandomUnit()),
                     [] { return false; });
    }
    Release();
  });
}

void LeaderElector::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

bool LeaderElector::leader() const {
  const std::lock_guard lock(mu_);
  return held_ && clock_.Now() - renewed_at_ < options_.renew_deadline;
}

void LeaderElector::Tick() {
  if (const auto done = Attempt(); !done) {
    log::Warn("lease not renewed", {{"lease", options_.name}, {"reason", done.error().message}});
  }
  Tell();
}

Result<void> LeaderElector::Attempt() {
  // The time before asking: the lease may have been renewed no later than the server did it.
  const auto asked_at = clock_.Now();
  const std::string path = collection_ + "/" + options_.name;
  std::optional<LeaseRecord> seen;
  if (const auto lease = client_.Get(path)) {
    seen = ReadLease(*lease);
  } else if (lease.error().code != Errc::kNotFound) {
    return tl::unexpected(lease.error());
  }
  const LeaseStep step = judge_.Decide(seen, asked_at);
  if (step == LeaseStep::kWait) {
    const std::lock_guard lock(mu_);
    held_ = false;
    return {};
  }
  const LeaseRecord next =
      NextRecord(step, seen, options_.identity, options_.duration, clock_.WallNow());
  const std::string body = WriteLease(next, options_.ns, options_.name);
  TESSERA_TRY(const auto written, step == LeaseStep::kCreate ? client_.Post(collection_, body)
                                                             : client_.Put(path, body));
  Hold(ReadLease(written), asked_at);
  return {};
}

void LeaderElector::Hold(const LeaseRecord& record, LeaseJudge::TimePoint asked_at) {
  const std::lock_guard lock(mu_);
  held_ = record.holder == options_.identity;
  record_ = record;
  renewed_at_ = asked_at;
}

void LeaderElector::Tell() {
  const bool now = leader();
  if (std::exchange(told_, now) == now) return;
  log::Info(now ? "leading" : "no longer leading", {{"lease", options_.name}});
  if (on_change_) on_change_(now);
}

void LeaderElector::Release() {
  LeaseRecord record;
  {
    const std::lock_guard lock(mu_);
    if (!std::exchange(held_, false)) return;
    record = record_;
  }
  // Told first: nobody may lead after the lease is free.
  Tell();
  const std::string body =
      WriteLease(Released(record, clock_.WallNow()), options_.ns, options_.name);
  if (const auto done = client_.Put(collection_ + "/" + options_.name, body); !done) {
    log::Warn("lease not given back; it will expire", {{"reason", done.error().message}});
  }
}

}  // namespace tessera::kube
