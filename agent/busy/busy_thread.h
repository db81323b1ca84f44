#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>

#include "agent/arbiter/busy_sample.h"
#include "agent/busy/series.h"
#include "agent/busy/utilization.h"
#include "common/base/thread_annotations.h"

namespace tessera::agent {

/// Asks NVML again and again how busy GPUs were, and passes it on. In a thread of its own: a call
/// of a sick driver may never return.
class BusyThread {
 public:
  struct Options {
    std::string library = "libnvidia-ml.so.1";   ///< as dlopen finds it
    std::chrono::milliseconds every{200};        ///< as often as NVML has a sample
    std::chrono::milliseconds list_every{1000};  ///< which GPUs
    std::chrono::milliseconds retry{60'000};     ///< after an answer that is none
  };
  using Gpus = std::function<std::set<std::string>()>;
  using Sink = std::function<void(const std::string& gpu_uuid, std::span<const BusySample>)>;
  using Complain = std::function<void(const std::string& gpu_uuid, const std::string& reason)>;

  /// The functions are called in the thread; what they refer to must outlive it. `gpus` says by
  /// uuid whom to ask; NVML is open only while some of them answers. `complain` hears each trouble
  /// of a GPU once.
  BusyThread(Options options, Gpus gpus, Sink sink, Complain complain);

  /// Once. After it, Stop must be called before this is destroyed.
  void Start();
  /// False if the thread hangs in the driver; then the process can only be left by _exit.
  bool Stop(std::chrono::seconds patience);

  /// How busy GPUs were in the last second, 0 to 1, where it is known. Any thread.
  std::map<std::string, double> Ratios() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Gpu {
    BusySeries series;
    Time ask_at{};
  };
  struct Ratio {
    double value = 0;
    Time until{};  ///< a driver that hangs does not keep it
  };

  void Run();
  void Round();
  void TakeGpus();
  /// What went wrong, for people; empty: nothing.
  std::string Ask(const std::string& uuid, Gpu& gpu);
  void ComplainOnce(const std::string& uuid, const std::string& trouble);
  void WriteRatios();

  const Options options_;
  const Gpus list_;
  const Sink sink_;
  const Complain complain_;
  // the thread's own
  std::unique_ptr<UtilizationReader> nvml_;
  std::map<std::string, Gpu> gpus_;
  std::map<std::string, std::set<std::string>> told_;  ///< troubles since it answered
  Time list_at_{};

  mutable std::mutex mu_;
  std::condition_variable changed_;
  bool stop_ TESSERA_GUARDED_BY(mu_) = false;
  bool ended_ TESSERA_GUARDED_BY(mu_) = false;
  std::map<std::string, Ratio> ratios_ TESSERA_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace tessera::agent
