#include "interceptor/region/mutex.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace tessera::region {
namespace {

// Yields while it is held make the others wait in the kernel, so a wake-up that is lost hangs here.
TEST(Mutex, LetsOneInAtATimeAndWakesAllWhoWait) {
  Mutex mutex;
  std::atomic<int> inside = 0;
  std::atomic<bool> crowded = false;
  int count = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5000; ++i) {
          const Hold hold(mutex);
          if (++inside != 1) crowded = true;
          if (i % 16 == 0) std::this_thread::yield();
          ++count;
          --inside;
        }
      });
    }
  }
  EXPECT_FALSE(crowded);
  EXPECT_EQ(count, 8 * 5000);
}

TEST(Mutex, IsFreeInAForkedChildWhoeverHeldIt) {
  Mutex mutex;
  mutex.Lock();
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);
    mutex.ForgetAfterFork();
    mutex.Lock();
    mutex.Unlock();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  mutex.Unlock();
}

}  // namespace
}  // namespace tessera::region
