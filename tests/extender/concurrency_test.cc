// Many threads filter, bind, fail, confirm and delete on one cache, while nodes come and go:
// nothing is given twice.
#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "extender/bind.h"
#include "extender/filter.h"
#include "extender/prioritize.h"
#include "tests/extender/build.h"
#include "tests/extender/stub_client.h"

namespace tessera::extender {
namespace {

constexpr int kThreads = 8;
constexpr int kPodsEach = 60;
const std::vector<std::string> kNodes = {"a", "b", "c"};

std::string PodName(int thread, int number) {
  return "p" + std::to_string(thread) + "-" + std::to_string(number);
}

/// What the pods that the server knows as bound hold of each GPU.
std::map<std::string, binpack::Amount> BoundAmounts(StubClient& client,
                                                    const std::vector<std::string>& pods) {
  std::map<std::string, binpack::Amount> amounts;
  for (const std::string& name : pods) {
    const auto pod = client.GetPod(name);
    if (pod.node.empty()) continue;
    const auto assignment =
        contract::DecodeAssignment(pod.bound_annotations.at("tessera.dev/assignment"));
    EXPECT_TRUE(assignment);
    EXPECT_EQ(assignment->node, pod.node);
    for (const auto& share : assignment->placement.containers[0].devices) {
      amounts[share.uuid] += {share.memory_mib, share.cores_percent};
    }
  }
  return amounts;
}

class ConcurrencyTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto& node : kNodes) AddNode(cache_, node, 2);
    for (int t = 0; t < kThreads; ++t) {
      for (int i = 0; i < kPodsEach; ++i) {
        names_.push_back(PodName(t, i));
        client_.SetPod(
            names_.back(),
            {.uid = names_.back(),
             .json_limits = R"({"tessera.dev/gpu-memory":"150","tessera.dev/gpu-cores":"10"})"});
      }
    }
  }
  void OnePod(const std::string& name, std::mt19937& random) {
    const auto filtered = filter_.Handle(Args(name, Ask(150, 10), kNodes));
    ASSERT_TRUE(filtered);
    prioritize_.Handle(Args(name, Ask(150, 10), kNodes));
    if (random() % 8 == 0) return;  // never bound: its hold stays
    // Whether the filter liked the node or not: binds come for any.
    const BindingArgs args{"default", name, name, kNodes[random() % kNodes.size()]};
    const bool bound = bind_.Handle(args).has_value();
    if (random() % 4 == 0) bind_.Handle(args);
    const auto pod = client_.GetPod(name);
    EXPECT_TRUE(!bound || pod.node == args.node);
    if (!pod.node.empty() && random() % 2 == 0) {
      cache_.AddPod(name, pod.node,
                    contract::DecodeAssignment(pod.bound_annotations.at("tessera.dev/assignment")));
    }
  }

  SystemClock clock_;
  Ranking ranking_;
  VerdictCache verdicts_;
  Cache cache_{clock_, {.hold_time = std::chrono::seconds(100), .preference = [this] {
                          return ranking_.model();
                        }}};
  StubClient client_;
  Filter filter_{cache_, ranking_, verdicts_, {}, [] { return true; }, {}};
  Prioritize prioritize_{cache_, ranking_, verdicts_};
  Bind bind_{client_, cache_, clock_, std::chrono::seconds(100), [] { return true; }};
  std::vector<std::string> names_;
};

TEST_F(ConcurrencyTest, NoGpuIsEverGivenTwice) {
  std::atomic<unsigned> faults = 0;
  client_.before_post = [&](const std::string&) -> Result<void> {
    if (faults.fetch_add(1) % 11 == 0) return Fail(Errc::kInvalidArgument, "fault: refused");
    return {};
  };
  client_.after_post = [&](const std::string&) -> Result<void> {
    if (faults.fetch_add(1) % 13 == 0) return Fail(Errc::kUnavailable, "fault: the answer is lost");
    return {};
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t));
        for (int i = 0; i < kPodsEach; ++i) OnePod(PodName(t, i), random);
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        AddNode(cache_, "spare", 1 + i % 2);
        const auto seen = cache_.UpdateSnapshot();
        for (std::size_t n = 0; n < seen->size(); ++n)
          EXPECT_FALSE(seen->view(n).over_committed) << seen->view(n).name;
        cache_.RemoveNode("spare");
      }
    });
  }
  const auto amounts = BoundAmounts(client_, names_);
  EXPECT_EQ(amounts.size(), 6u) << "every GPU is in use";
  for (const auto& [uuid, amount] : amounts) {
    EXPECT_LE(amount.memory_mib, 1000) << uuid;
    EXPECT_LE(amount.cores_percent, 100) << uuid;
    EXPECT_GE(amount.memory_mib, 750) << uuid << ": 480 pods wanted it";
  }
  const auto snapshot = cache_.UpdateSnapshot();
  for (const auto& node : kNodes) {
    for (const auto& info : snapshot->Find(node)->committed.devices) {
      EXPECT_EQ(info.used, amounts.at(info.device.uuid)) << "the cache knows what the server knows";
    }
  }
}

TEST_F(ConcurrencyTest, AfterAllPodsAreGoneNothingIsHeld) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(static_cast<unsigned>(t));
        for (int i = 0; i < kPodsEach; ++i) {
          OnePod(PodName(t, i), random);
          cache_.RemovePod(PodName(t, i));
        }
      });
    }
  }
  const auto seen = cache_.UpdateSnapshot();
  for (std::size_t n = 0; n < seen->size(); ++n) {
    EXPECT_EQ(seen->view(n).pods, 0);
    for (const auto& info : seen->view(n).held.devices) {
      EXPECT_EQ(info.used, (binpack::Amount{0, 0}));
      EXPECT_EQ(info.tenants, 0);
    }
  }
}

}  // namespace
}  // namespace tessera::extender
