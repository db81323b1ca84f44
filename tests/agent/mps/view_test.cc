#include <gtest/gtest.h>

#include "agent/metrics.h"
#include "agent/mps_view.h"

namespace tessera::agent {
namespace {

using binpack::Isolation;

Pod Given(const std::string& uuid, Isolation isolation, bool finished = false) {
  Pod pod;
  pod.uid = uuid;
  pod.finished = finished;
  pod.assignment =
      contract::Assignment{.node = "n",
                           .isolation = isolation,
                           .placement = {{{binpack::ContainerKind::kApp, 0, {{uuid, 100, 50}}}}}};
  return pod;
}

TEST(GpusWithMpsPods, AreThoseOfPodsThatHaveNotEnded) {
  Pod unreadable = Given("GPU-d", Isolation::kMps);
  unreadable.assignment.reset();
  EXPECT_EQ(GpusWithMpsPods({Given("GPU-a", Isolation::kMps), Given("GPU-a", Isolation::kMps),
                             Given("GPU-b", Isolation::kShared),
                             Given("GPU-c", Isolation::kMps, true), unreadable}),
            std::set<std::string>{"GPU-a"});
}

TEST(MarkMps, OffersWhatTheSupervisorOffersAndNothingElse) {
  contract::Inventory inventory;
  for (const char* uuid : {"GPU-a", "GPU-b", "GPU-c"}) {
    inventory.gpus.push_back({.uuid = uuid, .mps = true});
  }
  mps::State state{.available = true, .reason = "", .gpus = {}};
  state.gpus["GPU-a"].offered = true;
  state.gpus["GPU-b"].offered = false;
  MarkMps(state, inventory);
  EXPECT_TRUE(inventory.gpus[0].mps);
  EXPECT_FALSE(inventory.gpus[1].mps);
  EXPECT_FALSE(inventory.gpus[2].mps) << "not looked at yet";
  state.available = false;
  MarkMps(state, inventory);
  EXPECT_FALSE(inventory.gpus[0].mps);
}

TEST(MpsMetrics, AreOfGpusWithMpsPods) {
  NodeState state;
  state.node = "n";
  EXPECT_EQ(RenderFamilies(state).find("tessera_mps"), std::string::npos) << "off";
  state.mps = mps::State{.available = true, .reason = "", .gpus = {}};
  state.mps->gpus["GPU-idle"].offered = true;
  auto& faulty = state.mps->gpus["GPU-a"];
  faulty.wanted = true;
  faulty.seen = {.answers = true, .servers = 1, .clients = 3, .fault = true};
  faulty.restarts = 2;
  const std::string text = RenderFamilies(state);
  for (const char* line : {"tessera_mps_available{node=\"n\"} 1",
                           "tessera_mps_server_up{node=\"n\",gpu_uuid=\"GPU-a\"} 0",
                           "tessera_mps_fault{node=\"n\",gpu_uuid=\"GPU-a\"} 1",
                           "tessera_mps_clients{node=\"n\",gpu_uuid=\"GPU-a\"} 3",
                           "tessera_mps_restarts_total{node=\"n\",gpu_uuid=\"GPU-a\"} 2"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  EXPECT_EQ(text.find("GPU-idle"), std::string::npos);
}

}  // namespace
}  // namespace tessera::agent
