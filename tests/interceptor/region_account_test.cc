#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "interceptor/region/account.h"

namespace tessera::region {
namespace {

constexpr std::size_t kDevice = 3;

std::unique_ptr<Layout> NewFile() { return std::make_unique<Layout>(); }

TEST(RegionAccount, AddsUpToTheLimitToTheByte) {
  auto file = NewFile();
  EXPECT_EQ(Add(*file, 0, kDevice, 600, 1000), Outcome::kDone);
  EXPECT_EQ(Add(*file, 1, kDevice, 400, 1000), Outcome::kDone);
  EXPECT_EQ(Add(*file, 1, kDevice, 1, 1000), Outcome::kOverLimit);
  EXPECT_EQ(TotalBytes(*file, kDevice), 1000u);
  EXPECT_EQ(LaneBytes(*file, 0, kDevice), 600u);
  EXPECT_EQ(LaneBytes(*file, 1, kDevice), 400u);
}

TEST(RegionAccount, DevicesAreSeparate) {
  auto file = NewFile();
  EXPECT_EQ(Add(*file, 0, 0, 10, 10), Outcome::kDone);
  EXPECT_EQ(Add(*file, 0, 1, 20, 20), Outcome::kDone);
  EXPECT_EQ(TotalBytes(*file, 0), 10u);
  EXPECT_EQ(TotalBytes(*file, 1), 20u);
}

TEST(RegionAccount, HostMemoryIsAnAccountOfItsOwn) {
  auto file = NewFile();
  const std::size_t host = HostAccountOf(kDevice);
  EXPECT_EQ(Add(*file, 0, kDevice, 1000, 1000), Outcome::kDone);
  EXPECT_EQ(Add(*file, 0, host, 600, 1000), Outcome::kDone);
  EXPECT_EQ(Add(*file, 1, host, 400, 1000), Outcome::kDone);
  EXPECT_EQ(Add(*file, 1, host, 1, 1000), Outcome::kOverLimit);
  EXPECT_EQ(Subtract(*file, 0, host, kMaxBytes), Outcome::kDone);
  EXPECT_EQ(TotalBytes(*file, kDevice), 1000u);
  EXPECT_EQ(TotalBytes(*file, host), 400u);
  EXPECT_EQ(LaneBytes(*file, 1, host), 400u);
  EXPECT_EQ(LaneBytes(*file, 0, HostAccountOf(kDevice + 1)), 0u);
}

TEST(RegionAccount, HugeRequestsDoNotWrapAround) {
  auto file = NewFile();
  ASSERT_EQ(Add(*file, 0, kDevice, 100, 1000), Outcome::kDone);
  for (const std::uint64_t bytes : {~std::uint64_t{0}, ~std::uint64_t{0} - 50, kMaxBytes + 1}) {
    EXPECT_EQ(Add(*file, 0, kDevice, bytes, 1000), Outcome::kOverLimit);
    EXPECT_EQ(Add(*file, 0, kDevice, bytes, ~std::uint64_t{0}), Outcome::kOverLimit);
  }
  EXPECT_EQ(TotalBytes(*file, kDevice), 100u);
}

TEST(RegionAccount, TakesBackNoMoreThanTheLaneHas) {
  auto file = NewFile();
  ASSERT_EQ(Add(*file, 0, kDevice, 100, 1000), Outcome::kDone);
  ASSERT_EQ(Add(*file, 1, kDevice, 100, 1000), Outcome::kDone);
  EXPECT_EQ(Subtract(*file, 0, kDevice, kMaxBytes), Outcome::kDone);
  EXPECT_EQ(TotalBytes(*file, kDevice), 100u);
  EXPECT_EQ(LaneBytes(*file, 0, kDevice), 0u);
  EXPECT_EQ(LaneBytes(*file, 1, kDevice), 100u);
}

TEST(RegionAccount, ALimitLoweredBelowUseRefusesAndTakesNothingAway) {
  auto file = NewFile();
  ASSERT_EQ(Add(*file, 0, kDevice, 800, 1000), Outcome::kDone);
  EXPECT_EQ(Add(*file, 0, kDevice, 1, 500), Outcome::kOverLimit);
  EXPECT_EQ(Subtract(*file, 0, kDevice, 400), Outcome::kDone);
  EXPECT_EQ(Add(*file, 0, kDevice, 100, 500), Outcome::kDone);
  EXPECT_EQ(TotalBytes(*file, kDevice), 500u);
}

// The owner was killed after his compare-and-swap, before he stored `committed`.
TEST(RegionAccount, AChangeCountsFromItsCompareAndSwapOn) {
  auto file = NewFile();
  ASSERT_EQ(Add(*file, 0, kDevice, 100, 1000), Outcome::kDone);
  const std::uint64_t before = file->lanes[0][kDevice].memory.committed;
  ASSERT_EQ(Add(*file, 0, kDevice, 50, 1000), Outcome::kDone);
  file->lanes[0][kDevice].memory.committed = before;

  EXPECT_EQ(TotalBytes(*file, kDevice), 150u);
  EXPECT_EQ(LaneBytes(*file, 0, kDevice), 150u);
  ASSERT_EQ(Add(*file, 1, kDevice, 7, 1000), Outcome::kDone);
  EXPECT_EQ(LaneBytes(*file, 0, kDevice), 150u) << "the next change must settle the last one";
  ASSERT_EQ(Subtract(*file, 0, kDevice, kMaxBytes), Outcome::kDone);
  EXPECT_EQ(TotalBytes(*file, kDevice), 7u);
}

// Likewise, by changes of one lane alone, and by who returns what its dead owner had.
TEST(RegionAccount, TheLaneThatHeadNamesNeedsNoCommitted) {
  for (const std::uint64_t lag : {0, 1, 2, 3, 4}) {
    SCOPED_TRACE(lag);
    auto file = NewFile();
    Balance& lane = file->lanes[0][kDevice].memory;
    for (int i = 0; i < 4; ++i) ASSERT_EQ(Add(*file, 0, kDevice, 100, 1000), Outcome::kDone);
    lane.committed = 4 - lag;
    EXPECT_EQ(LaneBytes(*file, 0, kDevice), 400u);
    ASSERT_EQ(Add(*file, 0, kDevice, 50, 1000), Outcome::kDone);
    EXPECT_EQ(lane.committed, 5u);
    lane.committed = 4 - lag;
    ASSERT_EQ(Subtract(*file, 0, kDevice, kMaxBytes), Outcome::kDone) << "the reaper's";
    EXPECT_EQ(TotalBytes(*file, kDevice), 0u);
    lane.committed = 4 - lag;
    ASSERT_EQ(Add(*file, 1, kDevice, 7, 1000), Outcome::kDone);
    EXPECT_EQ(lane.committed, 6u) << "whoever takes head away says what counts";
    EXPECT_EQ(LaneBytes(*file, 0, kDevice), 0u);
    ASSERT_EQ(Add(*file, 0, kDevice, 3, 1000), Outcome::kDone);
    EXPECT_EQ(LaneBytes(*file, 0, kDevice), 3u);
    EXPECT_EQ(TotalBytes(*file, kDevice), 10u);
  }
}

// The owner was killed with his record written, before his compare-and-swap.
TEST(RegionAccount, AChangeBeforeItsCompareAndSwapNeverHappened) {
  auto file = NewFile();
  ASSERT_EQ(Add(*file, 0, kDevice, 100, 1000), Outcome::kDone);
  const std::uint64_t head = file->devices[kDevice].head;
  const std::uint64_t committed = file->lanes[0][kDevice].memory.committed;
  ASSERT_EQ(Add(*file, 0, kDevice, 50, 1000), Outcome::kDone);
  file->devices[kDevice].head = head;
  file->lanes[0][kDevice].memory.committed = committed;

  EXPECT_EQ(TotalBytes(*file, kDevice), 100u);
  EXPECT_EQ(LaneBytes(*file, 0, kDevice), 100u);
  // Another slot now uses the very sequence number that the dead one had in mind.
  ASSERT_EQ(Add(*file, 1, kDevice, 7, 1000), Outcome::kDone);
  EXPECT_EQ(TotalBytes(*file, kDevice), 107u);
  EXPECT_EQ(LaneBytes(*file, 0, kDevice), 100u);
  EXPECT_EQ(LaneBytes(*file, 1, kDevice), 7u);
}

TEST(RegionAccount, AScribbledFileIsRefusedNotBelieved) {
  struct Case {
    const char* name;
    void (*scribble)(Layout&);
  };
  const Case cases[] = {
      {"head names no slot", [](Layout& f) { f.devices[kDevice].head = PackHead(9, 200); }},
      {"head names no record", [](Layout& f) { f.devices[kDevice].head = PackHead(999, 5); }},
      {"all ones", [](Layout& f) { f.devices[kDevice].head = ~std::uint64_t{0}; }},
      {"total is absurd",
       [](Layout& f) {
         for (Record& r : f.lanes[0][kDevice].memory.records) r.total_bytes = ~std::uint64_t{0};
       }},
      {"the lane has more than the total",
       [](Layout& f) {
         for (Record& r : f.lanes[0][kDevice].memory.records) r.used_bytes = 5000;
       }},
      {"committed names no record",
       [](Layout& f) {
         // Of a lane that head names nobody needs it, and its next change puts it right.
         ASSERT_EQ(Add(f, 1, kDevice, 1, 1000), Outcome::kDone);
         f.lanes[0][kDevice].memory.committed = 1'000'000;
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto file = NewFile();
    ASSERT_EQ(Add(*file, 0, kDevice, 100, 1000), Outcome::kDone);
    c.scribble(*file);
    EXPECT_EQ(Add(*file, 0, kDevice, 1, 1000), Outcome::kCorrupt);
    EXPECT_EQ(Subtract(*file, 0, kDevice, 1), Outcome::kCorrupt);
  }
}

TEST(RegionAccount, RandomBytesNeverCrash) {
  std::mt19937_64 random(7);
  auto file = NewFile();
  for (int round = 0; round < 200; ++round) {
    auto* words = reinterpret_cast<Word*>(file.get());
    for (std::size_t i = 0; i < sizeof(Layout) / sizeof(Word); i += 1 + random() % 64) {
      words[i] = random() >> (random() % 64);
    }
    Add(*file, random() % kMaxProcesses, random() % kMaxAccounts, random() >> 40, 1 << 30);
    Subtract(*file, random() % kMaxProcesses, random() % kMaxAccounts, random() >> 40);
    TotalBytes(*file, random() % kMaxAccounts);
    LaneBytes(*file, random() % kMaxProcesses, random() % kMaxAccounts);
  }
}

TEST(RegionAccount, RacingLanesFillTheLimitExactly) {
  constexpr std::size_t kLanes = 8;
  constexpr std::uint64_t kLimit = 1 << 16;
  auto file = NewFile();
  std::vector<std::uint64_t> got(kLanes);
  {
    std::vector<std::jthread> threads;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      threads.emplace_back([&, lane] {
        while (Add(*file, lane, kDevice, 1 + lane % 3, kLimit) == Outcome::kDone) {
          got[lane] += 1 + lane % 3;
        }
        while (Add(*file, lane, kDevice, 1, kLimit) == Outcome::kDone) ++got[lane];
      });
    }
  }
  std::uint64_t sum = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    EXPECT_EQ(LaneBytes(*file, lane, kDevice), got[lane]);
    sum += got[lane];
  }
  EXPECT_EQ(sum, kLimit);
  EXPECT_EQ(TotalBytes(*file, kDevice), kLimit);
}

TEST(RegionAccount, RacingAddsAndSubtractsLoseNothingAndNeverExceed) {
  constexpr std::size_t kLanes = 6;
  constexpr std::uint64_t kLimit = 10'000;
  auto file = NewFile();
  std::vector<std::uint64_t> held(kLanes);
  std::atomic<bool> exceeded = false;
  {
    std::vector<std::jthread> threads;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      threads.emplace_back([&, lane] {
        std::mt19937_64 random(lane);
        for (int i = 0; i < 20'000; ++i) {
          const std::uint64_t bytes = random() % 4000;
          if (random() % 2 == 0) {
            if (Add(*file, lane, kDevice, bytes, kLimit) == Outcome::kDone) held[lane] += bytes;
          } else {
            const std::uint64_t back = std::min(bytes, held[lane]);
            if (Subtract(*file, lane, kDevice, back) == Outcome::kDone) held[lane] -= back;
          }
          if (TotalBytes(*file, kDevice) > kLimit) exceeded = true;
        }
      });
    }
  }
  EXPECT_FALSE(exceeded);
  std::uint64_t sum = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    EXPECT_EQ(LaneBytes(*file, lane, kDevice), held[lane]);
    sum += held[lane];
  }
  EXPECT_EQ(TotalBytes(*file, kDevice), sum);
}

}  // namespace
}  // namespace tessera::region
