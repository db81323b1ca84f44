#include "common/http/thread_pool.h"

#include <atomic>
#include <latch>
#include <thread>

#include <gtest/gtest.h>

namespace tessera::http {
namespace {

TEST(ThreadPool, NeverLetsATaskWaitForAnother) {
  constexpr int kTasks = 100;
  std::latch all(kTasks);
  ThreadPool pool(std::chrono::seconds(10));
  // Each task waits until all run: with one thread fewer this would hang.
  for (int i = 0; i < kTasks; ++i) ASSERT_TRUE(pool.Submit([&] { all.arrive_and_wait(); }));
  all.wait();
  EXPECT_GE(pool.size(), 100U);
}

TEST(ThreadPool, UsesAnIdleThreadAgainAndShrinks) {
  ThreadPool pool(std::chrono::milliseconds(20));
  for (int i = 0; i < 50; ++i) {
    std::latch done(1);
    ASSERT_TRUE(pool.Submit([&] { done.count_down(); }));
    done.wait();
  }
  EXPECT_LE(pool.size(), 3U);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (pool.size() > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(pool.size(), 0U);
  std::latch done(1);
  EXPECT_TRUE(pool.Submit([&] { done.count_down(); })) << "grows again";
  done.wait();
}

TEST(ThreadPool, JoinRunsWhatWasSubmittedAndRefusesMore) {
  std::atomic<int> ran{0};
  ThreadPool pool(std::chrono::seconds(10));
  for (int i = 0; i < 20; ++i) pool.Submit([&] { ++ran; });
  pool.Join();
  EXPECT_EQ(ran, 20);
  EXPECT_FALSE(pool.Submit([&] { ++ran; }));
  pool.Join();
  EXPECT_EQ(pool.size(), 0U);
}

}  // namespace
}  // namespace tessera::http
