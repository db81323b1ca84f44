#include "sim/cuda/engine.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <csignal>
#include <ctime>
#include <utility>
#include <vector>

#include "sim/gpu/share.h"
#include "sim/gpu/utilization.h"

namespace tessera::sim::cuda {
namespace {

using gpu::NowNs;
using gpu::Slot;

constexpr std::uint64_t kHeartbeatNs = 5'000'000;
constexpr std::uint64_t kSuspectNs = 20'000'000;  ///< older heartbeat: look whether it is dead
constexpr std::uint64_t kStuckNs = 200'000'000;   ///< older heartbeat: leave it out
constexpr std::uint64_t kWakePauseNs = 100'000;

timespec ToTimespec(std::uint64_t ns) {
  return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

void FutexWait(std::atomic<std::uint32_t>& word, std::uint32_t seen, std::uint64_t timeout_ns) {
  const timespec timeout = ToTimespec(timeout_ns);
  syscall(SYS_futex, &word, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

struct Busy {
  std::uint64_t total_ns = 0;  ///< up to the time asked for
  bool now = false;
};

Busy ReadBusy(const Slot& slot, std::uint64_t at_ns) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    const std::uint64_t sequence = slot.busy_sequence.load();
    const std::uint64_t closed = slot.busy_ns.load();
    const std::uint64_t from = slot.busy_from_ns.load();
    if ((sequence & 1) != 0 || sequence != slot.busy_sequence.load()) continue;
    const std::uint64_t open = from != 0 && at_ns > from ? at_ns - from : 0;
    return {closed + open, from != 0};
  }
  return {};  // its writer was killed in between
}

void WriteBusy(Slot& slot, std::uint64_t closed_ns, std::uint64_t from_ns) {
  slot.busy_sequence.fetch_add(1);
  slot.busy_ns.store(closed_ns);
  slot.busy_from_ns.store(from_ns);
  slot.busy_sequence.fetch_add(1);
}

/// Whether a slot's "busy" can be believed.
bool Counts(const Slot& slot, std::uint64_t now_ns) {
  const std::uint64_t beat = slot.heartbeat_ns.load();
  const std::uint64_t age = now_ns > beat ? now_ns - beat : 0;
  if (age > kStuckNs) return false;
  return age <= kSuspectNs || gpu::IsAlive(slot.owner.load());
}

}  // namespace

std::uint64_t Engine::Submit(Operation operation) {
  std::unique_lock lock(mu_);
  changed_.wait(lock, [this] { return queue_.size() < kQueueLimit || stopped_; });
  const bool kernel = operation.gpu_ns > 0;
  const bool idle = done_ == submitted_;
  if (stopped_ || (kernel && !worker_running_ && !StartWorker())) return submitted_;
  if (!kernel && idle) {
    const std::uint64_t number = submitted_;
    lock.unlock();
    const bool skipped = operation.fault && operation.fault->load() != 0;
    if (operation.action) operation.action(NowNs(), skipped);
    return number;
  }
  const std::uint64_t now = NowNs();
  if (kernel && kernels_++ == 0) MarkBusy(now);
  queue_.push_back({std::move(operation), now});
  const std::uint64_t number = ++submitted_;
  lock.unlock();
  if (idle) changed_.notify_all();
  return number;
}

bool Engine::IsDone(std::uint64_t number) const {
  const std::lock_guard lock(mu_);
  return done_ >= number || stopped_;
}

void Engine::Wait(std::uint64_t number) const {
  std::unique_lock lock(mu_);
  changed_.wait(lock, [&] { return done_ >= number || stopped_; });
}

std::uint64_t Engine::last() const {
  const std::lock_guard lock(mu_);
  return submitted_;
}

void Engine::Stop() {
  std::unique_lock lock(mu_);
  stopped_ = true;
  stopping_ = true;
  changed_.notify_all();
  if (!worker_running_ || pthread_equal(worker_, pthread_self()) != 0) return;
  WakeOthers();  // the worker waits on the same word
  changed_.wait_for(lock, std::chrono::milliseconds(100), [this] { return !worker_running_; });
}

bool Engine::StartWorker() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  worker_running_ = pthread_create(&worker_, &attributes, RunWorker, this) == 0;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return worker_running_;
}

void* Engine::RunWorker(void* engine) {
  prctl(PR_SET_TIMERSLACK, 1UL);
  static_cast<Engine*>(engine)->Work();
  return nullptr;
}

void Engine::Work() {
  std::unique_lock lock(mu_);
  while (true) {
    changed_.wait(lock, [this] { return !queue_.empty() || stopped_; });
    if (stopped_) break;
    // Moved out but counted as queued until it has ended: done_ tells what is over.
    const Queued next = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const Operation& operation = next.operation;
    const bool kernel = operation.gpu_ns > 0;
    const bool skipped = operation.fault && operation.fault->load() != 0;
    clock_ns_ = std::max(clock_ns_, next.submitted_ns);
    if (kernel && !skipped) clock_ns_ = RunKernel(operation, clock_ns_);
    if (!skipped && operation.raises != 0 && operation.fault) {
      int none = 0;
      operation.fault->compare_exchange_strong(none, operation.raises);
    }
    if (operation.action) {
      const std::uint64_t before = NowNs();
      operation.action(clock_ns_, skipped);
      clock_ns_ += NowNs() - before;
    }
    lock.lock();
    if (stopped_) break;
    ++done_;
    if (kernel && --kernels_ == 0) MarkIdle(clock_ns_);
    changed_.notify_all();
  }
  worker_running_ = false;
  changed_.notify_all();
}

/// Returns when the kernel ended. That may lie in the past, when the thread woke late: the next
/// kernel starts there, so that lateness costs no GPU time.
std::uint64_t Engine::RunKernel(const Operation& operation, std::uint64_t start_ns) {
  auto left = static_cast<double>(operation.gpu_ns);
  std::uint64_t at = start_ns;
  Slot* own = state_.own();
  if (window_end_ns_ < start_ns) {  // was idle: what the others did meanwhile does not count
    OpenWindow(start_ns, start_ns);
  }
  while (!stopping_ && own != nullptr) {
    if (operation.fault && operation.fault->load() != 0) return std::max(at, NowNs());
    if (at >= window_end_ns_) {
      Sleep(at + static_cast<std::uint64_t>(std::ceil(left / plan_)));
      const std::uint64_t now = NowNs();
      if (stopping_ || now <= at) continue;
      OpenWindow(at, now);
    }
    const double possible = static_cast<double>(window_end_ns_ - at) * share_;
    const double used = std::min(possible, left);
    const std::uint64_t end =
        possible >= left
            ? std::min(window_end_ns_, at + static_cast<std::uint64_t>(std::ceil(left / share_)))
            : window_end_ns_;
    gpu::AddGpuTime(*own, static_cast<std::uint64_t>(used), end);
    gpu::AddUtilization(state_.file(), at, end, static_cast<std::uint64_t>(used));
    at = end;
    left -= used;
    if (left < 1.0) break;
  }
  if (own != nullptr && !stopping_) own->kernels.fetch_add(1);
  return at;
}

/// Learns from the others' slots how fast this process went from `from_ns` to `to_ns`.
void Engine::OpenWindow(std::uint64_t from_ns, std::uint64_t to_ns) {
  std::vector<double> busy;
  std::vector<double> busy_now;
  const auto length = static_cast<double>(to_ns - from_ns);
  gpu::DeviceFile& file = state_.file();
  const std::uint64_t real_now = NowNs();
  for (std::size_t i = 0; i < gpu::kSlots; ++i) {
    const Slot& slot = file.slots[i];
    if (&slot == state_.own() || slot.owner.load() == 0) continue;
    const Busy other = ReadBusy(slot, to_ns);
    const std::uint64_t before = std::exchange(busy_before_[i], other.total_ns);
    const std::uint64_t spent = other.total_ns > before ? other.total_ns - before : 0;
    if ((spent == 0 && !other.now) || !Counts(slot, real_now)) continue;
    if (length > 0) busy.push_back(static_cast<double>(spent) / length);
    if (other.now) busy_now.push_back(1.0);
  }
  if (length > 0) share_ = gpu::ShareOfDevice(busy, loss_);
  plan_ = gpu::ShareOfDevice(busy_now, loss_);
  window_end_ns_ = to_ns;
  state_.own()->heartbeat_ns.store(real_now);
}

/// Until the time is up, a process that shared the device has become idle, or a heartbeat is due.
void Engine::Sleep(std::uint64_t until_ns) {
  auto& epoch = state_.file().epoch;
  const std::uint32_t seen = epoch.load();
  std::uint64_t now = NowNs();
  // A neighbour with many tiny kernels becomes idle all the time: look at most every so often.
  const std::uint64_t pause_end = std::min(until_ns, woken_ns_ + kWakePauseNs);
  if (plan_ < 1.0 && pause_end > now) {
    const timespec pause = ToTimespec(pause_end);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &pause, nullptr);
    now = NowNs();
  }
  const std::uint64_t end = std::min(until_ns, now + kHeartbeatNs);
  if (end > now && !stopping_) FutexWait(epoch, seen, end - now);
  woken_ns_ = NowNs();
}

void Engine::MarkBusy(std::uint64_t now_ns) {
  if (Slot* own = state_.own()) {
    own->heartbeat_ns.store(now_ns);
    WriteBusy(*own, own->busy_ns.load(), now_ns);
  }
}

void Engine::MarkIdle(std::uint64_t end_ns) {
  Slot* own = state_.own();
  if (own == nullptr) return;
  const std::uint64_t from = own->busy_from_ns.load();
  const std::uint64_t spent = end_ns > from ? end_ns - from : 0;
  WriteBusy(*own, own->busy_ns.load() + spent, 0);
  if (plan_ < 1.0) WakeOthers();
}

void Engine::WakeOthers() {
  auto& epoch = state_.file().epoch;
  epoch.fetch_add(1);
  syscall(SYS_futex, &epoch, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace tessera::sim::cuda
