// The extender against the simulator's policy that it follows: one stream of pods, one cluster.
#include <random>

#include "binpack/place/placer.h"
#include "extender/filter.h"
#include "tests/extender/build.h"

namespace tessera::extender {
namespace {

using binpack::PodRequest;
using binpack::PodShape;

constexpr int kNodes = 40;
constexpr int kGpus = 8;
const binpack::ModelNames kModels{"NVIDIA A100"};

/// Shares of one GPU that do not fill it well, and pods of 1, 2, 4 and 8 whole ones; together a
/// tenth more than the cluster has.
std::vector<PodRequest> Pods(unsigned seed) {
  constexpr int kPercent[] = {15, 30, 35, 40, 45, 55, 60, 65, 70, 80, 100, 100};
  std::mt19937 random(seed);
  std::vector<PodRequest> pods;
  for (int i = 0; i < 340; ++i) {
    const auto kind = random() % 20;
    const int percent = kind < 18 ? kPercent[random() % std::size(kPercent)] : 100;
    pods.push_back(Ask(10 * percent, percent, kind < 18 ? 1 : 1 << (1 + random() % 3)));
  }
  return pods;
}

PodShape ShapeOf(const PodRequest& pod) { return binpack::ShapeOf(pod, kModels, 1000); }
double GpusOf(const PodRequest& pod) { return binpack::GpusOf(ShapeOf(pod)); }

binpack::LearnedDemand Learned(const std::vector<PodRequest>& pods) {
  binpack::LearnedDemand learned;
  for (const PodRequest& pod : pods) learned.Observe(ShapeOf(pod));
  return learned;
}

/// The pieces of the extender that place, after they have seen these pods come.
struct Extender {
  explicit Extender(const std::vector<PodRequest>& seen)
      : ranking("models 1\n" + kModels[0] + "\n" + Learned(seen).Save()) {
    EXPECT_TRUE(ranking.restored());
  }

  /// The node and the pod's GPUs there, or nothing.
  std::optional<contract::Assignment> Place(const std::string& uid, const PodRequest& pod) {
    const auto passing = filter.Handle(Args(uid, pod, names))->node_names;
    if (passing.empty()) return std::nullopt;
    const auto bound = cache.AssumePod(uid, passing.front(), pod);
    EXPECT_TRUE(bound);
    return *bound;
  }
  void Add(const std::string& node, int gpus) {
    names.push_back(node);
    AddNode(cache, node, gpus);
  }

  const ManualClock clock;
  Ranking ranking;
  Cache cache{clock, {.preference = [this] { return ranking.model(); }}};
  VerdictCache verdicts;
  const Filter filter{cache, ranking, verdicts, {}, [] { return true; }, {}};
  std::vector<std::string> names;
};

/// Halves have been asked for; half of n-0 is left, nine tenths of n-1: there a fifth loses less.
class LeastLossTest : public testing::Test {
 protected:
  LeastLossTest() {
    extender_.Add("n", 2);
    extender_.cache.AddPod("x", "n", Given("n", 0, 500, 50));
    extender_.cache.AddPod("y", "n", Given("n", 1, 100, 10));
  }
  const PodRequest fifth_ = Ask(200, 20);
  Extender extender_{{Ask(500, 50)}};
};

TEST_F(LeastLossTest, FilterHoldsAndBindTakesNotTheTightestGpu) {
  extender_.filter.Handle(Args("p", fifth_, {"n"}));
  EXPECT_EQ(Held(extender_.cache, "n", 1), (binpack::Amount{300, 30}));
  const auto bound = extender_.cache.AssumePod("p", "n", fifth_);
  ASSERT_TRUE(bound);
  EXPECT_EQ(bound->placement.containers[0].devices[0].uuid, "n-1");
}

TEST_F(LeastLossTest, BindChoosesLikeFilterWhereNothingIsHeld) {
  extender_.filter.Handle(Args("p", fifth_, {"n"}));
  extender_.cache.Drop("p");
  const auto bound = extender_.cache.AssumePod("p", "n", fifth_);
  ASSERT_TRUE(bound);
  EXPECT_EQ(bound->placement.containers[0].devices[0].uuid, "n-1");
}

double ByExtender(const std::vector<PodRequest>& pods) {
  Extender extender(pods);
  for (int i = 0; i < kNodes; ++i) extender.Add("n" + std::to_string(i), kGpus);
  double allocated = 0;
  for (std::size_t i = 0; i < pods.size(); ++i)
    allocated += extender.Place(std::to_string(i), pods[i]) ? GpusOf(pods[i]) : 0;
  return allocated;
}

double BySimulator(const std::vector<PodRequest>& pods, const binpack::Demand& demand) {
  const binpack::NodeRoom empty =
      binpack::RoomOf(binpack::MakeNode("n", Gpus("n", kGpus).gpus), kModels);
  const std::vector<binpack::NodeRoom> nodes(kNodes, empty);
  const auto policy = binpack::MakeFragmentPolicy(demand, binpack::FleetOf(nodes), {});
  binpack::Placer placer(nodes, *policy, 1);
  double allocated = 0;
  for (const PodRequest& pod : pods) {
    const auto decision = placer.Decide(ShapeOf(pod));
    if (!decision) continue;
    placer.Take(ShapeOf(pod), *decision);
    allocated += GpusOf(pod);
  }
  return allocated;
}

TEST(ExtenderPlacement, FillsAClusterAsTheSimulatorDoes) {
  constexpr int kSeeds = 12;
  double extender = 0;
  double simulator = 0;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const auto pods = Pods(seed);
    extender += ByExtender(pods);
    simulator += BySimulator(pods, Learned(pods).demand());
  }
  constexpr double kAll = kSeeds * kNodes * kGpus;
  std::printf("GPUs allocated: extender %.2f %%, simulator %.2f %%\n", 100 * extender / kAll,
              100 * simulator / kAll);
  EXPECT_NEAR(extender / kAll, simulator / kAll, 0.0025) << "the tightest GPU costs 0.3 %";
}

}  // namespace
}  // namespace tessera::extender
