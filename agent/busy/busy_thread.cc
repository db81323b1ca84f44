#include "agent/busy/busy_thread.h"

#include <time.h>

#include <utility>

#include "common/base/monotonic.h"

namespace tessera::agent {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t RealUs() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

Moment Now() {
  const std::uint64_t before_ns = NowNs();
  const std::uint64_t real_us = RealUs();
  const std::uint64_t after_ns = NowNs();
  return {.real_us = real_us, .monotonic_ns = before_ns + (after_ns - before_ns) / 2};
}

}  // namespace

BusyThread::BusyThread(Options options, Gpus gpus, Sink sink, Complain complain)
    : options_(std::move(options)),
      list_(std::move(gpus)),
      sink_(std::move(sink)),
      complain_(std::move(complain)) {}

void BusyThread::Start() {
  thread_ = std::thread([this] { Run(); });
}

bool BusyThread::Stop(std::chrono::seconds patience) {
  if (!thread_.joinable()) return true;
  std::unique_lock lock(mu_);
  stop_ = true;
  changed_.notify_all();
  if (!changed_.wait_for(lock, patience, [&] { return ended_; })) return false;
  lock.unlock();
  thread_.join();
  return true;
}

std::map<std::string, double> BusyThread::Ratios() const {
  std::map<std::string, double> ratios;
  const std::lock_guard lock(mu_);
  for (const auto& [uuid, ratio] : ratios_) {
    if (Clock::now() < ratio.until) ratios[uuid] = ratio.value;
  }
  return ratios;
}

void BusyThread::Run() {
  std::unique_lock lock(mu_);
  while (!stop_) {
    lock.unlock();
    Round();
    lock.lock();
    const auto pause = gpus_.empty() ? options_.list_every : options_.every;
    changed_.wait_for(lock, pause, [&] { return stop_; });
  }
  lock.unlock();
  nvml_.reset();
  lock.lock();
  ended_ = true;
  changed_.notify_all();
}

void BusyThread::Round() {
  const Time now = Clock::now();
  if (now >= list_at_) {
    TakeGpus();
    list_at_ = now + options_.list_every;
  }
  bool answered = false;
  for (auto& [uuid, gpu] : gpus_) {
    if (now < gpu.ask_at) continue;
    const std::string trouble = Ask(uuid, gpu);
    if (trouble.empty()) {
      answered = true;
      told_.erase(uuid);
    } else {
      gpu = {.series = {}, .ask_at = now + options_.retry};
      ComplainOnce(uuid, trouble);
    }
  }
  if (!answered) nvml_.reset();
  WriteRatios();
}

void BusyThread::TakeGpus() {
  const std::set<std::string> listed = list_();
  std::erase_if(gpus_, [&](const auto& entry) { return !listed.contains(entry.first); });
  for (const std::string& uuid : listed) gpus_.try_emplace(uuid);
}

std::string BusyThread::Ask(const std::string& uuid, Gpu& gpu) {
  std::string trouble;
  if (!nvml_) nvml_ = UtilizationReader::Open(options_.library, trouble);
  if (!nvml_) return trouble;
  auto answer = nvml_->Since(uuid, gpu.series.AskSince(RealUs()));
  if (!answer.trouble.empty()) return std::move(answer.trouble);
  const auto samples = gpu.series.Take(answer.samples, Now());
  if (!samples.empty()) sink_(uuid, samples);
  return "";
}

void BusyThread::ComplainOnce(const std::string& uuid, const std::string& trouble) {
  if (told_[uuid].insert(trouble).second) complain_(uuid, trouble);
}

void BusyThread::WriteRatios() {
  const std::uint64_t now_ns = NowNs();
  std::map<std::string, Ratio> ratios;
  for (const auto& [uuid, gpu] : gpus_) {
    if (const auto ratio = gpu.series.LastSecond(now_ns)) {
      ratios[uuid] = {.value = *ratio, .until = Clock::now() + std::chrono::seconds(1)};
    }
  }
  const std::lock_guard lock(mu_);
  ratios_ = std::move(ratios);
}

}  // namespace tessera::agent
