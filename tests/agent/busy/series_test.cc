#include "agent/busy/series.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::agent {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kEpochUs = 1'700'000'000'000'000;
constexpr std::uint64_t kUp = 5'000'000 * kMs;  // monotonic time then

/// `ms` after a moment at which both clocks are known.
Moment At(std::uint64_t ms) {
  return {.real_us = kEpochUs + ms * 1000, .monotonic_ns = kUp + ms * kMs};
}
UtilizationSample Sample(std::uint64_t ms, unsigned int percent) {
  return {.real_us = kEpochUs + ms * 1000, .percent = percent};
}
/// "200-400:505" in ms after that moment, permille.
std::string Text(const std::vector<BusySample>& samples) {
  std::string text;
  for (const BusySample& one : samples) {
    text += (text.empty() ? "" : " ") + std::to_string((one.from_ns - kUp) / kMs) + "-" +
            std::to_string((one.to_ns - kUp) / kMs) + ":" + std::to_string(one.permille);
  }
  return text;
}

TEST(BusySeries, StretchesGoFromOneSampleToTheNext) {
  const struct {
    const char* name;
    std::vector<UtilizationSample> samples;
    const char* want;
  } cases[] = {
      {"the first is none", {Sample(0, 50)}, ""},
      {"half a percent was truncated",
       {Sample(0, 9), Sample(200, 0), Sample(400, 1), Sample(600, 99), Sample(800, 100)},
       "0-200:0 200-400:15 400-600:995 600-800:1000"},
      {"of any length",
       {Sample(0, 9), Sample(167, 50), Sample(1167, 50)},
       "0-167:505 167-1167:505"},
      {"a gap is none", {Sample(0, 9), Sample(1001, 50), Sample(1201, 60)}, "1001-1201:605"},
      {"one that goes back is dropped",
       {Sample(400, 9), Sample(200, 50), Sample(400, 70), Sample(600, 60)},
       "400-600:605"},
      {"one of the future is dropped",
       {Sample(0, 9), Sample(2001, 50), Sample(200, 60)},
       "0-200:605"},
      {"hostile values are dropped, their time is not",
       {Sample(0, 9), Sample(200, 101), Sample(400, ~0U), Sample(600, 60)},
       "400-600:605"},
      {"hostile times are dropped",
       {Sample(0, 9),
        {.real_us = 0, .percent = 50},
        {.real_us = ~0ULL, .percent = 50},
        Sample(200, 60)},
       "0-200:605"},
      {"from before the machine started", {{.real_us = kEpochUs - kUp / 1000, .percent = 50}}, ""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    BusySeries series;
    EXPECT_EQ(Text(series.Take(c.samples, At(2000))), c.want);
  }
}

TEST(BusySeries, GoesOnWhereTheLastAnswerEndedAndAsksFromThere) {
  BusySeries series;
  EXPECT_EQ(series.AskSince(At(5000).real_us), At(4000).real_us) << "a second at first";
  EXPECT_EQ(Text(series.Take(std::vector{Sample(4800, 10)}, At(5000))), "");
  EXPECT_EQ(series.AskSince(At(5100).real_us), At(4800).real_us);
  EXPECT_EQ(Text(series.Take({}, At(5100))), "");
  EXPECT_EQ(Text(series.Take(std::vector{Sample(5000, 10)}, At(5200))), "4800-5000:105");
  EXPECT_EQ(Text(series.Take(std::vector{Sample(5000, 10)}, At(5300))), "") << "told twice";
  EXPECT_EQ(series.AskSince(At(9000).real_us), At(8000).real_us) << "after a long pause";
  EXPECT_EQ(series.AskSince(100), 0U) << "a clock that stands at 1970";
}

TEST(BusySeries, TheWallClockMayBeSet) {
  for (const std::int64_t step_us : {-3'600'000'000LL, -150'000LL, 150'000LL, 3'600'000'000LL}) {
    SCOPED_TRACE(step_us);
    const auto stepped = [&](std::uint64_t us) {
      return static_cast<std::uint64_t>(static_cast<std::int64_t>(us) + step_us);
    };
    BusySeries series;
    EXPECT_EQ(Text(series.Take(std::vector{Sample(0, 9), Sample(200, 10)}, At(300))), "0-200:105");
    const Moment now = {.real_us = stepped(At(500).real_us), .monotonic_ns = At(500).monotonic_ns};
    EXPECT_LE(series.AskSince(now.real_us), stepped(Sample(400, 0).real_us) - 1);
    const UtilizationSample next = {.real_us = stepped(Sample(400, 0).real_us), .percent = 20};
    EXPECT_EQ(Text(series.Take(std::vector{next}, now)), "200-400:205");
  }
}

TEST(BusySeries, TheLastSecondIsAMeanByLength) {
  BusySeries series;
  EXPECT_FALSE(series.LastSecond(At(0).monotonic_ns).has_value());
  series.Take(std::vector{Sample(0, 0), Sample(300, 100), Sample(400, 0)}, At(500));
  EXPECT_DOUBLE_EQ(series.LastSecond(At(500).monotonic_ns).value(), 0.75);
  EXPECT_DOUBLE_EQ(series.LastSecond(At(1300).monotonic_ns).value(), 0) << "the older one is over";
  EXPECT_FALSE(series.LastSecond(At(1400).monotonic_ns).has_value()) << "nothing came any more";
  for (std::uint64_t ms = 1500; ms < 60'000; ms += 100) {
    series.Take(std::vector{Sample(ms, 40)}, At(ms));
  }
  EXPECT_NEAR(series.LastSecond(At(60'000).monotonic_ns).value(), 0.405, 1e-9);
}

}  // namespace
}  // namespace tessera::agent
