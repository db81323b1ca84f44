// What the compute arbiter's thread costs: microseconds of CPU in each second, with containers that
// are attached and idle, with some that contend, and where the first of those works 1 ms and pauses
// 5 ms by turns. Takes two seconds a case, real time.
#include <dirent.h>
#include <time.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <string>

#include <benchmark/benchmark.h>

#include "agent/arbiter/arbiter_thread.h"
#include "common/base/monotonic.h"
#include "interceptor/region/grant.h"
#include "interceptor/region/region.h"
#include "tests/interceptor/temp_dir.h"

namespace {

using namespace tessera;

void Nap(std::uint64_t ns) {
  const timespec nap = {.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
                        .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&nap, nullptr);
}

/// CPU time of the thread of that name in this process; 0: there is none.
std::uint64_t CpuNsOf(const std::string& thread) {
  DIR* const tasks = opendir("/proc/self/task");
  std::uint64_t cpu_ns = 0;
  while (const dirent* const task = readdir(tasks)) {
    const std::string folder = std::string("/proc/self/task/") + task->d_name;
    std::string name;
    std::ifstream(folder + "/comm") >> name;
    if (name == thread) std::ifstream(folder + "/schedstat") >> cpu_ns;
  }
  closedir(tasks);
  return cpu_ns;
}

struct Container {
  test::TempDir folder;
  region::Region region;
  std::uint64_t work_ns = 0;   ///< between pauses; 0: without end
  std::uint64_t since_ns = 0;  ///< it works, or does not
  bool has_work = true;

  void Turn(std::uint64_t now_ns, bool open) {
    constexpr std::uint64_t kPauseNs = 5'000'000;
    if (work_ns == 0) return;
    if (has_work && !open) since_ns = now_ns;
    if (now_ns - since_ns < (has_work ? work_ns : kPauseNs)) return;
    has_work = !has_work;
    since_ns = now_ns;
  }
};

class Node {
 public:
  explicit Node(std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      region::DeviceConfig device;
      std::strcpy(device.uuid, "GPU-1");
      Container& one = containers_.emplace_back();
      if (one.region.Attach(one.folder.path().c_str(), {&device, 1}, region::Policy::kBurstShare) !=
          nullptr) {
        std::abort();
      }
    }
  }
  std::vector<agent::ArbitratedContainer> List() const {
    std::vector<agent::ArbitratedContainer> list;
    for (const Container& one : containers_) {
      list.push_back({.gpu_uuid = "GPU-1",
                      .region_path = one.folder.File("region"),
                      .policy = region::Policy::kBurstShare,
                      .percent = 1 + 99 / static_cast<int>(containers_.size())});
    }
    return list;
  }
  void FirstPauses(std::uint64_t work_ns) { containers_[0].work_ns = work_ns; }
  /// All of them have something to launch, always, or by turns.
  void Contend(std::uint64_t ns) {
    std::uint64_t last = NowNs();
    for (const std::uint64_t end = last + ns; last < end; Nap(200'000)) {
      const std::uint64_t now = NowNs();
      for (Container& one : containers_) {
        const auto view = region::ReadGrant(one.region.Grant(0), NowNs());
        const bool open = view.valid && view.IsOpen(NowNs());
        one.Turn(now, open);
        const bool waits = one.has_work && !open;
        one.region.SetRunning(0, open && one.has_work);
        one.region.SetWaiting(0, waits ? region::WaitsFor::kWindow : region::WaitsFor::kNothing);
        if (open && one.has_work) one.region.Pace(0).used_ns.fetch_add(now - last);
      }
      last = now;
    }
  }

 private:
  std::deque<Container> containers_;
};

void Measure(benchmark::State& state, bool contend, std::uint64_t work_ns) {
  Node node(state.range(0));
  node.FirstPauses(work_ns);
  const agent::ArbiterThread arbiter([&] { return node.List(); });
  Nap(300'000'000);
  for (auto _ : state) {
    const std::uint64_t cpu = CpuNsOf("arbiter");
    const std::uint64_t from = NowNs();
    if (contend) {
      node.Contend(2'000'000'000);
    } else {
      Nap(2'000'000'000);
    }
    const auto seconds = 1e-9 * static_cast<double>(NowNs() - from);
    state.counters["cpu_us_per_s"] = 1e-3 * static_cast<double>(CpuNsOf("arbiter") - cpu) / seconds;
  }
}

void Idle(benchmark::State& state) { Measure(state, false, 0); }
void Contending(benchmark::State& state) { Measure(state, true, 0); }
/// It interrupts the others.
void OnePauses(benchmark::State& state) { Measure(state, true, 4'000'000); }
/// It is left to the hardware's slices.
void OneComesForLittle(benchmark::State& state) { Measure(state, true, 1'000'000); }

BENCHMARK(Idle)->Arg(1)->Arg(10)->Arg(50)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(Contending)->Arg(2)->Arg(4)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(OnePauses)->Arg(2)->Arg(4)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(OneComesForLittle)->Arg(2)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace

BENCHMARK_MAIN();
