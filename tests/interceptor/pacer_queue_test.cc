// How much the pacer lets be queued on a GPU, in virtual time.
#include <algorithm>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "tests/interceptor/simulated_process.h"

namespace tessera::test {
namespace {

/// Of some work each 20 ms, beside one that never rests, while the agent lets both in.
std::uint64_t BurstsBesideAGreedyOne(std::uint32_t percent, bool gated, std::uint64_t kernel_ns,
                                     std::uint64_t launches) {
  Gpu gpu{.slice_ns = 2 * kMs};
  region::Pace pace{};
  Process process(
      gpu, pace, percent,
      {.kernel_ns = kernel_ns, .batch = launches, .waits = true, .think_ns = 18'123 * kUs});
  process.gated = gated;
  process.law = [percent](std::uint64_t) { return InRounds(percent); };
  RunFor(20 * kSecond, gpu, {&process});
  return process.batches;
}

/// Others who come then wait for it.
TEST(Pacer, InRoundsLittleIsQueued) {
  struct Case {
    Program program;
    std::uint64_t usual_ns, most_ns;  ///< 99 of 100 launches; all
  };
  for (const Case& one :
       {Case{{.kernel_ns = 500 * kUs}, 6 * kMs, 8 * kMs},
        {{.kernel_ns = kMs, .batch = 100, .waits = true, .think_ns = 5 * kMs}, 8 * kMs, 11 * kMs},
        {{.kernel_ns = 20 * kUs, .other_ns = 3 * kMs}, 8 * kMs, 20 * kMs},
        {{.kernel_ns = 10 * kUs, .batch = 20, .other_ns = kMs}, 25 * kMs, 50 * kMs}}) {
    for (const std::uint32_t percent : {0U, 80U}) {
      Gpu gpu;
      region::Pace pace{};
      Process process(gpu, pace, percent, one.program);
      process.law = [percent](std::uint64_t) { return InRounds(percent); };
      RunFor(20 * kSecond, gpu, {&process});
      std::vector<std::uint64_t>& ahead = process.ahead_ns;
      std::sort(ahead.begin(), ahead.end());
      EXPECT_LE(ahead[ahead.size() * 99 / 100], one.usual_ns) << one.program.kernel_ns;
      EXPECT_LE(ahead.back(), one.most_ns) << one.program.kernel_ns;
    }
  }
}

TEST(Pacer, WhoHasNoTimeToSpareQueuesWhatTheAverageSays) {
  {
    Gpu gpu;
    region::Pace pace{};
    Process process(gpu, pace, 0, {.kernel_ns = 10 * kUs, .batch = 20, .other_ns = kMs});
    process.law = [](std::uint64_t now) { return InWindows(0, now, 20 * kMs, 40 * kMs); };
    RunFor(20 * kSecond, gpu, {&process});
    EXPECT_LE(*std::max_element(process.ahead_ns.begin(), process.ahead_ns.end()), 25 * kMs)
        << "the next window waits for it";
  }
  Gpu gpu;
  region::Pace pace{};
  Process process(gpu, pace, 30, {.kernel_ns = 20 * kUs, .other_ns = 3 * kMs});
  RunFor(20 * kSecond, gpu, {&process});
  std::vector<std::uint64_t>& ahead = process.ahead_ns;
  std::sort(ahead.begin(), ahead.end());
  EXPECT_LE(ahead[ahead.size() / 2], 4 * kMs) << "a pause pays for it";
}

TEST(Pacer, WhoIsBelowItsShareKeepsItsTurnsOnTheGpuBesideOthers) {
  for (const std::uint32_t percent : {0U, 50U, 80U}) {
    for (const auto& [kernel, launches] :
         {std::pair{5 * kUs, 200U}, {20 * kUs, 200U}, {100 * kUs, 40U}, {500 * kUs, 8U}}) {
      const auto without = BurstsBesideAGreedyOne(percent, false, kernel, launches);
      const auto with = BurstsBesideAGreedyOne(percent, true, kernel, launches);
      EXPECT_GE(static_cast<double>(with), 0.99 * static_cast<double>(without))
          << percent << " percent, kernels of " << kernel / kUs << " us";
    }
  }
}

}  // namespace
}  // namespace tessera::test
