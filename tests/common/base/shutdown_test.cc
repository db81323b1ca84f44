#include "common/base/shutdown.h"

#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace tessera {
namespace {

TEST(ShutdownSignal, WaitsForTermAndIntAndSurvivesPipe) {
  ShutdownSignal signal;
  EXPECT_EQ(signal.WaitFor(std::chrono::milliseconds(1)), 0);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signal.Wait(), SIGTERM);
  kill(getpid(), SIGINT);
  EXPECT_EQ(signal.WaitFor(std::chrono::seconds(5)), SIGINT);
  raise(SIGPIPE);
  EXPECT_EQ(signal.WaitFor(std::chrono::milliseconds(1)), 0);
}

}  // namespace
}  // namespace tessera
