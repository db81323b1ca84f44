#include <algorithm>
#include <cmath>
#include <random>

#include "binpack/place/policy.h"

namespace tessera::binpack {

bool Policy::Observe(const NodeRoom&, const NodeRoom&) { return false; }

namespace {

class RandomPolicy : public Policy {
 public:
  explicit RandomPolicy(std::uint64_t seed) : random_(seed) {}
  std::string_view name() const override { return "random"; }
  TieBreak tie_break() const override { return TieBreak::kRandom; }

  float Score(const NodeRoom& room, double, const PodShape& shape, GpuChoice& choice) override {
    std::size_t count = 0;
    GpuChoice fitting{};
    for (int i = 0; i < room.gpus; ++i) {
      if (Within(shape.share, room.rest[static_cast<std::size_t>(i)])) {
        fitting[count++] = static_cast<std::int8_t>(i);
      }
    }
    const auto wanted = std::min(static_cast<std::size_t>(shape.gpus), count);
    for (std::size_t k = 0; k < wanted; ++k) {
      std::swap(fitting[k], fitting[k + random_() % (count - k)]);
    }
    choice = fitting;
    return 0;
  }

 private:
  std::mt19937_64 random_;
};

class BestFitPolicy : public Policy {
 public:
  explicit BestFitPolicy(const std::vector<NodeRoom>& empty_nodes) {
    for (const NodeRoom& node : empty_nodes) {
      most_cpu_ = std::max(most_cpu_, static_cast<double>(node.cpu_milli));
      most_gpus_ = std::max(most_gpus_, static_cast<double>(node.gpus));
    }
  }
  std::string_view name() const override { return "best-fit"; }

  float Score(const NodeRoom& room, double, const PodShape& shape, GpuChoice& choice) override {
    choice = TightestGpus(room, shape);
    return static_cast<float>((shape.cpu_milli - room.cpu_milli) / most_cpu_ +
                              (GpusOf(shape) - GpusLeft(room)) / most_gpus_);
  }

 private:
  double most_cpu_ = 1;
  double most_gpus_ = 1;
};

/// HAMi also counts tenants against its limit of ten a GPU, which a room does not know. Counting
/// them moves no published figure by more than 0.2 points.
class HamiPolicy : public Policy {
 public:
  std::string_view name() const override { return "hami"; }

  float Score(const NodeRoom& room, double, const PodShape& shape, GpuChoice& choice) override {
    if (shape.gpus == 0) return KubeSchedulerScore(room, shape);
    choice = TightestGpus(room, shape);
    return static_cast<float>(-GpusLeft(room) / room.gpus);
  }

 private:
  /// Whole points out of 100 each, as kube-scheduler's plug-ins give them; what counts is what
  /// would be left. A capacity that is not known is what is left.
  static float KubeSchedulerScore(const NodeRoom& room, const PodShape& shape) {
    const auto left = [](std::int32_t rest, std::int32_t asked, std::int32_t capacity) {
      return static_cast<double>(rest - asked) / std::max({capacity, rest, 1});
    };
    const double cpu = left(room.cpu_milli, shape.cpu_milli, room.cpu_capacity_milli);
    const double memory = left(room.memory_mib, shape.memory_mib, room.memory_capacity_mib);
    const double least_allocated =
        std::floor((std::floor(100 * cpu) + std::floor(100 * memory)) / 2);
    const double balanced = std::floor(100 * (1 - std::abs(cpu - memory) / 2));
    return static_cast<float>(least_allocated + balanced);
  }
};

class FgdPolicy : public Policy {
 public:
  explicit FgdPolicy(const Demand& demand) : typical_(demand.pods) {
    std::stable_sort(
        typical_.begin(), typical_.end(),
        [](const TypicalPod& a, const TypicalPod& b) { return a.frequency > b.frequency; });
    double sum = 0;
    std::size_t kept = 0;
    while (kept < typical_.size() && sum < kPopularity) sum += typical_[kept++].frequency;
    typical_.resize(kept);
    for (TypicalPod& pod : typical_) pod.frequency /= sum;
  }
  std::string_view name() const override { return "fgd"; }
  TieBreak tie_break() const override { return TieBreak::kLast; }

  double Value(const NodeRoom& room) override {
    const double left = GpusLeft(room);
    double fragment = 0;
    for (const auto& [shape, frequency] : typical_) {
      fragment += frequency * (left - Usable(room, shape));
    }
    return fragment;
  }

  float Score(const NodeRoom& room, double value, const PodShape& shape,
              GpuChoice& choice) override {
    const double after = LeastLost(room, shape, choice,
                                   [this](const NodeRoom& candidate) { return Value(candidate); });
    return static_cast<float>(std::floor(100 / (1 + std::exp(after - value))));
  }

 private:
  static constexpr double kPopularity = 0.95;

  static double Usable(const NodeRoom& room, const PodShape& shape) {
    if (shape.gpus == 0 || !HasRoom(room, shape)) return 0;
    double usable = 0;
    for (int i = 0; i < room.gpus; ++i) {
      const Share& rest = room.rest[static_cast<std::size_t>(i)];
      if (Within(shape.share, rest)) usable += GpusOf(rest);
    }
    return usable;
  }

  std::vector<TypicalPod> typical_;
};

}  // namespace

std::unique_ptr<Policy> MakeRandomPolicy(std::uint64_t seed) {
  return std::make_unique<RandomPolicy>(seed);
}
std::unique_ptr<Policy> MakeBestFitPolicy(const std::vector<NodeRoom>& empty_nodes) {
  return std::make_unique<BestFitPolicy>(empty_nodes);
}
std::unique_ptr<Policy> MakeHamiPolicy() { return std::make_unique<HamiPolicy>(); }
std::unique_ptr<Policy> MakeFgdPolicy(const Demand& demand) {
  return std::make_unique<FgdPolicy>(demand);
}

}  // namespace tessera::binpack
