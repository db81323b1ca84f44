// The supervisor and real processes: the simulated nvidia-cuda-mps-control.
#include "agent/mps/supervisor.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/mps/process.h"
#include "tests/agent/mps/fixture.h"
#include "tests/fakes/manual_clock.h"

namespace tessera::agent::mps {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;

const std::string kA = "GPU-a";
const std::string kB = "GPU-b";

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() { supervisor_.SetGpus({kA, kB}); }

  /// One look after that time.
  std::vector<std::string> Tick(seconds time = seconds(6)) { return Tick(supervisor_, time); }
  std::vector<std::string> Tick(Supervisor& supervisor, seconds time = seconds(6)) {
    clock_.Advance(time);
    std::vector<std::string> what;
    for (const Event& event : supervisor.Tick()) what.emplace_back(event.what);
    return what;
  }
  GpuState Of(const std::string& uuid) { return supervisor_.Now().gpus.at(uuid); }
  /// A daemon that answers, with an open gate.
  void StartA() {
    supervisor_.SetWanted({kA});
    Tick();
    Tick();
    ASSERT_TRUE(Of(kA).open);
  }

  ManualClock clock_;
  MpsFolder folder_;
  const Options options_{.program = MpsFolder::kProgram, .root = folder_.root()};
  Supervisor supervisor_{options_, clock_};
};

TEST_F(SupervisorTest, OffersEveryGpuBeforeAnyDaemonRunsAndLetsNobodyIn) {
  supervisor_.SetWanted({});
  Tick();
  EXPECT_TRUE(supervisor_.Now().available);
  for (const auto& uuid : {kA, kB}) {
    EXPECT_TRUE(Of(uuid).offered);
    EXPECT_TRUE(folder_.IsClosed(uuid));
    EXPECT_FALSE(folder_.ContainerMayStart(uuid));
    EXPECT_EQ(folder_.Daemon(uuid), 0);
  }
}

TEST_F(SupervisorTest, OneDaemonForTheGpuOfTheFirstPodAndItQuitsAfterTheLast) {
  supervisor_.SetWanted({kA});
  EXPECT_THAT(Tick(), Contains(std::string("MPS daemon started")));
  EXPECT_FALSE(folder_.ContainerMayStart(kA));
  EXPECT_THAT(Tick(), Contains(std::string("MPS daemon is ready")));
  EXPECT_TRUE(folder_.ContainerMayStart(kA));
  EXPECT_FALSE(folder_.ContainerMayStart(kB));
  EXPECT_GT(folder_.Daemon(kA), 0);
  EXPECT_THAT(folder_.Journal(kA), HasSubstr("start GPU-a -d descriptors 3\n"))
      << "beside its own: nothing of ours is inherited";
  folder_.Tell(kA, "clients", "11\n12\n");
  Tick();
  EXPECT_EQ(Of(kA).seen, (Observation{.answers = true, .servers = 1, .clients = 2}));
  supervisor_.SetWanted({});
  Tick();
  EXPECT_TRUE(folder_.IsClosed(kA)) << "nobody wants it";
  Tick();
  EXPECT_GT(folder_.Daemon(kA), 0) << "a client is ending yet";
  folder_.Tell(kA, "clients", "");
  Tick();
  EXPECT_TRUE(Eventually([&] { return folder_.Daemon(kA) == 0; }));
  EXPECT_EQ(folder_.Told(kA, "quit"), 1);
  Tick();
  EXPECT_EQ(Of(kA).restarts, 0);
}

TEST_F(SupervisorTest, ADaemonThatCrashesIsClosedAndStartedAnew) {
  StartA();
  folder_.Kill(kA);
  ASSERT_TRUE(Eventually([&] { return folder_.Daemon(kA) == 0; }));
  EXPECT_THAT(Tick(), Contains(std::string("MPS daemon is closed")));
  EXPECT_FALSE(Of(kA).offered);
  EXPECT_TRUE(folder_.IsClosed(kA));
  Tick();
  EXPECT_TRUE(folder_.ContainerMayStart(kA));
  EXPECT_TRUE(Of(kA).offered);
  EXPECT_EQ(Of(kA).restarts, 1);
  EXPECT_EQ(folder_.Told(kA, "start"), 2);
}

TEST_F(SupervisorTest, AFaultClosesTheGateAndRestartsOnceNoClientIsLeft) {
  StartA();
  folder_.Tell(kA, "clients", "11\n");
  folder_.Tell(kA, "status", "FAULT\n");
  Tick();
  EXPECT_TRUE(Of(kA).seen.fault);
  EXPECT_FALSE(Of(kA).offered);
  EXPECT_TRUE(folder_.IsClosed(kA));
  Tick(seconds(600));
  EXPECT_EQ(folder_.Told(kA, "quit"), 0);
  folder_.Tell(kA, "clients", "");
  folder_.Tell(kA, "server", "");
  Tick();
  EXPECT_EQ(folder_.Told(kA, "quit"), 1);
  ASSERT_TRUE(Eventually([&] { return folder_.Daemon(kA) == 0; }));
  folder_.Untell(kA, "status");
  folder_.Untell(kA, "server");
  Tick();
  Tick();
  EXPECT_TRUE(folder_.ContainerMayStart(kA));
  EXPECT_EQ(Of(kA).restarts, 1);
}

TEST_F(SupervisorTest, AnAgentThatRestartsAdoptsTheDaemonAndItsClients) {
  StartA();
  folder_.Tell(kA, "clients", "11\n");
  const pid_t daemon = folder_.Daemon(kA);
  Supervisor next(options_, clock_);
  next.SetGpus({kA, kB});
  Tick(next);
  EXPECT_TRUE(folder_.ContainerMayStart(kA)) << "also before the pods are listed";
  EXPECT_EQ(folder_.Told(kA, "quit"), 0);
  next.SetWanted({kA});
  Tick(next);
  EXPECT_EQ(folder_.Daemon(kA), daemon);
  EXPECT_EQ(next.Now().gpus.at(kA).seen.clients, 1);
  EXPECT_EQ(folder_.Told(kA, "start"), 1);
  EXPECT_EQ(next.Now().gpus.at(kA).restarts, 0);
}

TEST_F(SupervisorTest, AnAgentThatRestartsStopsWhatNoPodWantsAnyMoreAndClosesWhatDied) {
  StartA();
  Supervisor next(options_, clock_);
  next.SetGpus({kA});
  next.SetWanted({});
  Tick(next);
  Tick(next);
  EXPECT_TRUE(Eventually([&] { return folder_.Daemon(kA) == 0; }));

  StartA();
  folder_.Kill(kA);
  ASSERT_TRUE(Eventually([&] { return folder_.Daemon(kA) == 0; }));
  Supervisor third(options_, clock_);
  third.SetGpus({kA});
  Tick(third);
  EXPECT_TRUE(folder_.IsClosed(kA)) << "before the pods are listed";
}

TEST_F(SupervisorTest, ADaemonThatDoesNotStartSaysWhyOnceAndItsGpuIsNotOffered) {
  folder_.Tell(kA, "broken", "");
  supervisor_.SetWanted({kA});
  EXPECT_THAT(Tick(), Contains(std::string("MPS daemon was not started")));
  int told = 0;
  for (int i = 0; i < 5; ++i) told += static_cast<int>(Tick().size());
  EXPECT_EQ(told, 0);
  EXPECT_FALSE(Of(kA).offered);
  EXPECT_TRUE(Of(kB).offered) << "the others are";
  folder_.Untell(kA, "broken");
  Tick(seconds(120));
  Tick();
  EXPECT_TRUE(folder_.ContainerMayStart(kA));
  EXPECT_TRUE(Of(kA).offered);
}

TEST_F(SupervisorTest, ADaemonThatHangsIsClosedAndLeftAlive) {
  Supervisor hasty({.program = MpsFolder::kProgram,
                    .root = folder_.root(),
                    .patience = std::chrono::milliseconds(1000)},
                   clock_);
  hasty.SetGpus({kA, kB});
  hasty.SetWanted({kA});
  Tick(hasty);
  Tick(hasty);
  ASSERT_TRUE(folder_.ContainerMayStart(kA));
  const pid_t daemon = folder_.Daemon(kA);
  folder_.Tell(kA, "hang", "");
  Tick(hasty);
  EXPECT_TRUE(folder_.IsClosed(kA));
  EXPECT_FALSE(hasty.Now().gpus.at(kA).offered);
  EXPECT_TRUE(hasty.Now().gpus.at(kB).offered);
  EXPECT_EQ(folder_.Daemon(kA), daemon) << "clients that run go on";
}

TEST_F(SupervisorTest, WithoutTheProgramNothingIsOfferedAndItSaysWhy) {
  Supervisor without({.program = "no-such-program-of-mps", .root = folder_.root()}, clock_);
  without.SetGpus({kA});
  without.SetWanted({kA});
  EXPECT_THAT(Tick(without), testing::ElementsAre("MPS is not available"));
  EXPECT_THAT(Tick(without), testing::IsEmpty()) << "said once";
  EXPECT_FALSE(without.Now().available);
  EXPECT_THAT(without.Now().reason, HasSubstr("no-such-program-of-mps"));
  EXPECT_FALSE(without.Now().gpus.at(kA).offered);
}

TEST_F(SupervisorTest, AnAgentThatRestartsWithoutTheProgramClosesTheGatesThatItFinds) {
  StartA();
  Supervisor next({.program = "not-there-4711", .root = folder_.root()}, clock_);
  next.SetGpus({kA, kB});
  Tick(next);
  EXPECT_FALSE(folder_.ContainerMayStart(kA)) << "the daemon may have ended with the container";
}

TEST_F(SupervisorTest, AtTheMostClientsTheGpuTakesNoFurtherPod) {
  StartA();
  std::string clients;
  for (int i = 0; i < kMaxClients; ++i) clients += std::to_string(100 + i) + "\n";
  folder_.Tell(kA, "clients", clients);
  Tick();
  EXPECT_EQ(Of(kA).seen.clients, kMaxClients);
  EXPECT_FALSE(Of(kA).offered);
  EXPECT_TRUE(folder_.ContainerMayStart(kA));
}

TEST_F(SupervisorTest, AnyUserMayUseTheFoldersAndNoneMayTouchTheGate) {
  StartA();
  const auto mode = [&](const std::string& path) {
    struct stat found {};
    return stat((folder_.root() + path).c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
  };
  EXPECT_EQ(mode(""), 0755U);
  EXPECT_EQ(mode("/ready"), 0755U);
  EXPECT_EQ(mode("/shm"), 01777U);
  EXPECT_EQ(mode("/GPU-a"), 0755U);
  EXPECT_EQ(mode("/GPU-a/pipe"), 01777U);
  EXPECT_EQ(mode("/GPU-a/log"), 01777U);
}

TEST_F(SupervisorTest, NamesThatLeadElsewhereAreNoGpus) {
  supervisor_.SetGpus({"../GPU-a", "GPU-a/b", "", "..", kB});
  supervisor_.SetWanted({});
  Tick();
  EXPECT_EQ(supervisor_.Now().gpus.size(), 1U);
}

TEST(Control, ADaemonThatHangsIsNotWaitedForLongerThanThat) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(RunProgram({"/bin/sleep", "60"}, {}, "", milliseconds(50)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(5));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

TEST(Control, AProcessGetsItsInputItsVariablesAndNothingElseOfOurs) {
  const auto out =
      RunProgram({"/bin/sh", "-c", "cat; echo $WHO; exit 3"}, {{"WHO", "me"}}, "in\n", seconds(5));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->status, 3);
  EXPECT_EQ(out->text, "in\nme\n");
  EXPECT_FALSE(RunProgram({"/no/such/program"}, {}, "", seconds(5)).has_value());
}

TEST(Control, ListedPidsAreLinesOfDigits) {
  EXPECT_THAT(ListedPids("12\n34 \r\n\nCannot find 5\n"), testing::ElementsAre("12", "34"));
}

}  // namespace
}  // namespace tessera::agent::mps
