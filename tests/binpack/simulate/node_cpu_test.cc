// What it is worth to a scheduler extender to know the CPU of nodes. An extender places pods with
// GPUs only: its demand has no others, and those go where kube-scheduler puts them.
#include <gtest/gtest.h>

#include "binpack/place/learned_demand.h"
#include "binpack/place/score_model.h"
#include "binpack/simulate/replay.h"
#include "tests/binpack/simulate/files.h"

namespace tessera::binpack::simulate {
namespace {

constexpr int kSeeds = 3;

/// `fragment` for pods with GPUs, the most CPU left for others. Blind: nodes are shown to it as
/// those of an extender that is told no CPU; whether a pod fits is decided before, by all its CPU.
class ExtenderPolicy : public Policy {
 public:
  ExtenderPolicy(const Demand& demand, const Fleet& fleet, bool blind)
      : inner_(MakeFragmentPolicy(demand, fleet, {})), blind_(blind) {}

  std::string_view name() const override { return "extender"; }
  double Value(const NodeRoom& room) override { return inner_->Value(Shown(room)); }
  float Score(const NodeRoom& room, double value, const PodShape& shape,
              GpuChoice& choice) override {
    if (shape.gpus == 0) return static_cast<float>(room.cpu_milli);
    return inner_->Score(Shown(room), value, shape, choice);
  }
  bool Observe(const NodeRoom& before, const NodeRoom& after) override {
    return inner_->Observe(Shown(before), Shown(after));
  }

 private:
  NodeRoom Shown(NodeRoom room) const {
    if (blind_) room.cpu_milli = kUnknownCpu;
    return room;
  }

  std::unique_ptr<Policy> inner_;
  const bool blind_;
};

/// The shape as an extender learns it.
PodShape Seen(PodShape shape, bool blind) {
  shape.cpu_milli =
      blind ? 0 : ShapeOf({.containers = {}, .cpu_milli = shape.cpu_milli}, {}, 0).cpu_milli;
  return shape;
}

Demand DemandOfGpuPods(const std::vector<PodShape>& pods, bool blind) {
  std::vector<TypicalPod> seen;
  for (const PodShape& pod : pods) {
    if (pod.gpus > 0) seen.push_back({Seen(pod, blind), 1});
  }
  return MakeDemand(seen);
}

/// Percent of GPUs allocated when as many were asked for as there are.
double Allocated(const Trace& trace, bool blind) {
  std::vector<NodeRoom> nodes = trace.nodes;
  if (blind) {
    for (NodeRoom& node : nodes) node.cpu_milli = kUnknownCpu;
  }
  const Demand demand = DemandOfGpuPods(trace.pods, blind);
  double sum = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    auto policy = std::make_unique<ExtenderPolicy>(demand, FleetOf(nodes), blind);
    const auto result = Replay(trace, DemandOf(trace.pods), std::move(policy),
                               {.load = 1.0, .seed = seed, .marks = {1.0}});
    sum += 100 * result.marks[0].cores;
  }
  return sum / kSeeds;
}

TEST(NodeCpu, KnowingItAllocatesMoreGpus) {
  const struct {
    const char* variant;
    double gain;  ///< points of GPU allocation, at least
  } cases[] = {{"default", 6}, {"cpu250", 1.5}};
  const std::string folder = SharedData("openb/");
  for (const auto& c : cases) {
    SCOPED_TRACE(c.variant);
    Trace trace;
    const auto nodes = ReadFile(folder + "openb_node_list_gpu_node.csv");
    const auto pods = ReadFile(folder + "openb_pod_list_" + c.variant + ".csv");
    if (!nodes || !pods) GTEST_SKIP() << "no trace in " << folder;
    ASSERT_TRUE(ParseNodes(*nodes, trace));
    ASSERT_TRUE(ParsePods(*pods, trace));
    const double known = Allocated(trace, false);
    const double unknown = Allocated(trace, true);
    std::cout << c.variant << ": " << known << " % of GPUs allocated where CPU is known, "
              << unknown << " % where it is not\n";
    EXPECT_GT(known, unknown + c.gain);
  }
}

}  // namespace
}  // namespace tessera::binpack::simulate
