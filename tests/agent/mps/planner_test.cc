#include "agent/mps/planner.h"

#include <random>

#include <gtest/gtest.h>

namespace tessera::agent::mps {
namespace {

using std::chrono::seconds;

constexpr Observation kSilent{};
constexpr Observation kIdle{.answers = true};

Observation With(int clients, bool fault = false) {
  return {.answers = true, .servers = 1, .clients = clients, .fault = fault};
}

class PlannerTest : public ::testing::Test {
 protected:
  Plan After(seconds time, std::optional<bool> wanted, const Observation& seen) {
    now_ += time;
    return planner_.Decide(wanted, seen, now_);
  }
  static constexpr Plan kOpen{.action = Action::kNone, .open = true, .offered = true};
  static constexpr Plan kStartOffered{.action = Action::kStart, .open = false, .offered = true};
  static constexpr Plan kShut{};

  Planner planner_;
  Planner::Time now_{seconds(1000)};
};

TEST_F(PlannerTest, StartsWithTheFirstPodOpensWhenItAnswersAndQuitsAfterTheLast) {
  EXPECT_EQ(After(seconds(0), false, kSilent), (Plan{.offered = true})) << "nothing to do";
  EXPECT_EQ(After(seconds(1), true, kSilent), kStartOffered);
  EXPECT_EQ(After(seconds(1), true, kSilent), (Plan{.offered = true})) << "it is on its way";
  EXPECT_EQ(After(seconds(0), true, kIdle), kOpen);
  EXPECT_EQ(After(seconds(100), true, With(3)), kOpen);
  EXPECT_EQ(After(seconds(0), false, With(1)), (Plan{.offered = true})) << "a client is left";
  EXPECT_EQ(After(seconds(60), false, With(1)), (Plan{.offered = true})) << "and nobody ends it";
  EXPECT_EQ(After(seconds(1), false, kIdle), (Plan{.action = Action::kQuit, .offered = true}));
  EXPECT_EQ(planner_.restarts(), 0);
}

TEST_F(PlannerTest, ADaemonLingersForAContainerThatPassedTheGateJustBefore) {
  After(seconds(0), true, kIdle);
  EXPECT_EQ(After(seconds(1), false, kIdle), (Plan{.offered = true}));
  EXPECT_EQ(After(Planner::kLinger - seconds(1), false, kIdle), (Plan{.offered = true}));
  EXPECT_EQ(After(seconds(1), true, kIdle), kOpen);
  EXPECT_EQ(After(seconds(1), false, kIdle), (Plan{.offered = true})) << "counted anew";
  EXPECT_EQ(After(Planner::kLinger, false, kIdle).action, Action::kQuit);
}

TEST_F(PlannerTest, NothingIsStartedOrStoppedBeforeThePodsAreListed) {
  EXPECT_EQ(After(seconds(0), std::nullopt, kIdle), kOpen);
  EXPECT_EQ(After(seconds(100), std::nullopt, With(2)), kOpen);
  EXPECT_EQ(After(seconds(100), std::nullopt, kSilent), (Plan{.offered = true}));
  EXPECT_EQ(After(seconds(100), std::nullopt, With(2, true)), kShut);
  EXPECT_EQ(After(seconds(0), true, With(2)), kOpen) << "adopted";
  EXPECT_EQ(planner_.restarts(), 0);
}

TEST_F(PlannerTest, ADaemonThatDiedIsStartedAtOnceThenLessAndLessOften) {
  After(seconds(0), true, kIdle);
  After(Planner::kCalm, true, kIdle);
  EXPECT_EQ(After(seconds(1), true, kSilent), (Plan{.action = Action::kStart}));
  std::vector<int> waits;
  for (int start = 0, waited = 0; start < 7; ++waited) {
    const Plan plan = After(seconds(1), true, kSilent);
    EXPECT_FALSE(plan.open);
    EXPECT_FALSE(plan.offered) << "the scheduler looks elsewhere";
    if (plan.action != Action::kStart) continue;
    waits.push_back(waited + 1);
    waited = -1;
    ++start;
  }
  EXPECT_EQ(waits, (std::vector<int>{4, 8, 16, 32, 60, 60, 60}));
  EXPECT_EQ(planner_.restarts(), 8);
  EXPECT_EQ(After(seconds(1), true, kIdle), kOpen);
  EXPECT_EQ(After(seconds(1), true, kSilent).action, Action::kNone) << "it was not well for long";
  After(seconds(60), true, kIdle);
  After(Planner::kCalm, true, kIdle);
  EXPECT_EQ(After(seconds(1), true, kSilent).action, Action::kStart);
}

TEST_F(PlannerTest, AFaultyDaemonIsClosedAndRestartedOnlyWhenItsLastClientHasGone) {
  After(seconds(0), true, With(2));
  EXPECT_EQ(After(seconds(1), true, With(2, true)), kShut);
  EXPECT_EQ(After(seconds(600), true, With(1, true)), kShut);
  EXPECT_EQ(After(seconds(1), true, With(0, true)), (Plan{.action = Action::kQuit}));
  EXPECT_EQ(After(seconds(3), true, kSilent), kShut);
  EXPECT_EQ(After(seconds(1), true, kSilent), (Plan{.action = Action::kStart}));
  EXPECT_EQ(planner_.restarts(), 1);
  EXPECT_EQ(After(seconds(1), true, kIdle), kOpen);
}

TEST_F(PlannerTest, AServerThatRecoversByItselfIsOpenedAgain) {
  After(seconds(0), true, With(2));
  EXPECT_EQ(After(seconds(1), true, With(1, true)), kShut);
  EXPECT_EQ(After(seconds(1), true, With(0)), kOpen);
  EXPECT_EQ(planner_.restarts(), 0);
}

TEST_F(PlannerTest, AtTheMostClientsNoFurtherPodComes) {
  EXPECT_TRUE(After(seconds(0), true, With(kMaxClients - 1)).offered);
  const Plan full = After(seconds(1), true, With(kMaxClients));
  EXPECT_TRUE(full.open) << "a container that restarts comes back";
  EXPECT_FALSE(full.offered);
}

TEST(PlannerProperties, NobodyIsEndedAndNobodyEntersWhereNoDaemonAnswers) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
    Planner planner;
    Planner::Time now{seconds(1000)};
    for (int step = 0; step < 300; ++step) {
      now += seconds(below(4));
      const std::optional<bool> wanted =
          below(10) == 0 ? std::nullopt : std::optional(below(3) > 0);
      Observation seen{.answers = below(3) > 0};
      if (seen.answers) {
        seen = With(below(2) == 0 ? 0 : below(60), below(4) == 0);
      }
      const Plan plan = planner.Decide(wanted, seen, now);
      const bool acts = plan.action != Action::kNone;
      ASSERT_TRUE(plan.action != Action::kQuit || seen.clients == 0);
      ASSERT_TRUE(plan.action != Action::kStart || (wanted.value_or(false) && !seen.answers));
      ASSERT_TRUE(!acts || (!plan.open && wanted.has_value()));
      ASSERT_TRUE(!plan.open || (seen.answers && !seen.fault && wanted.value_or(true)));
      ASSERT_TRUE(!plan.offered || !seen.fault);
    }
  }
}

}  // namespace
}  // namespace tessera::agent::mps
