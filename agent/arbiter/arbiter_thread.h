#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/arbiter/arbiter.h"
#include "agent/arbiter/busy_sample.h"
#include "agent/arbiter/calibration.h"
#include "agent/arbiter/pressure.h"
#include "agent/arbiter/region_port.h"
#include "common/base/thread_annotations.h"
#include "interceptor/region/layout.h"

namespace tessera::agent {

/// One container on one GPU of this node.
struct ArbitratedContainer {
  std::string gpu_uuid;
  std::string region_path;  ///< with the GPU it says which container; the file may appear later
  region::Policy policy = region::Policy::kFixedShare;
  int percent = 0;  ///< of the GPU's time; 0: no share
};

/// What the arbiter has done, for metrics.
struct ArbiterReport {
  struct Container {
    std::string region_path;
    TenantTotals totals;
  };
  struct Gpu {
    std::string uuid;
    bool windows = false;  ///< containers contend now
    std::uint64_t windows_total = 0;
    std::uint64_t overruns_total = 0;
    std::vector<Container> containers;
  };
  std::vector<Gpu> gpus;
};

/// Hands out the time of all GPUs of the node in one thread: looks at the regions, steps each GPU's
/// Arbiter, writes what it says, and sleeps until the next look. When it ends it tells nobody: its
/// grants expire, and containers go by themselves.
class ArbiterThread {
 public:
  using Provider = std::function<std::vector<ArbitratedContainer>()>;

  /// `containers` is asked four times in a second, in the thread; what it refers to must outlive
  /// this.
  explicit ArbiterThread(Provider containers);
  ~ArbiterThread();
  ArbiterThread(const ArbiterThread&) = delete;
  ArbiterThread& operator=(const ArbiterThread&) = delete;

  /// How busy a GPU was, oldest first, if anybody knows: what containers count as use is corrected
  /// by it. Any thread, at any time.
  void TellBusy(const std::string& gpu_uuid, std::span<const BusySample> samples);

  /// As of a quarter of a second ago. Any thread.
  ArbiterReport Report() const;

 private:
  struct Member {
    ArbitratedContainer container;
    std::uint64_t key = 0;
    RegionPort port;
    Pressure pressure;

    Member(ArbitratedContainer its, std::uint64_t its_key)
        : container(std::move(its)),
          key(its_key),
          port(container.region_path, container.gpu_uuid) {}
  };
  struct Gpu {
    Arbiter arbiter;
    Calibration calibration;
    std::map<std::string, std::unique_ptr<Member>> members;  ///< by region path
    std::vector<TenantSeen> seen;
    std::vector<Calibration::Count> counts;
    std::vector<RegionPort::Demand> demands;  ///< in the order of `members`
  };

  void Run();
  void TakeContainers();
  void TakeSamples();
  void Step(Gpu& gpu, std::uint64_t now_ns);
  void Look(Gpu& gpu, std::uint64_t now_ns);
  void WriteReport();

  const Provider provider_;
  std::map<std::string, Gpu> gpus_;  ///< by uuid; the thread's own
  std::uint64_t last_key_ = 0;
  mutable std::mutex mu_;
  ArbiterReport report_ TESSERA_GUARDED_BY(mu_);
  std::vector<std::pair<std::string, BusySample>> samples_ TESSERA_GUARDED_BY(mu_);
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace tessera::agent
