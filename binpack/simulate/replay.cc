#include "binpack/simulate/replay.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "binpack/place/placer.h"

namespace tessera::binpack::simulate {
namespace {

/// The order in which pods come.
class Arrivals {
 public:
  Arrivals(const std::vector<PodShape>& pods, std::uint64_t seed) : pods_(pods), random_(seed) {
    order_.resize(pods.size());
    std::iota(order_.begin(), order_.end(), 0U);
    std::shuffle(order_.begin(), order_.end(), random_);
  }
  const PodShape& Next() {
    const std::size_t i = next_ < order_.size() ? order_[next_] : random_() % pods_.size();
    ++next_;
    return pods_[i];
  }

 private:
  const std::vector<PodShape>& pods_;
  std::mt19937_64 random_;
  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
};

class Stopwatch {
 public:
  explicit Stopwatch(const NanoClock& clock) : clock_(clock) {}
  void Start() { start_ = clock_ ? clock_() : 0; }
  void Stop() {
    if (clock_) micros_.push_back(static_cast<double>(clock_() - start_) / 1000);
  }
  void Report(ReplayResult& result) {
    if (micros_.empty()) return;
    result.mean_us =
        std::accumulate(micros_.begin(), micros_.end(), 0.0) / static_cast<double>(micros_.size());
    const auto p99 = micros_.begin() + static_cast<std::ptrdiff_t>(micros_.size() * 99 / 100);
    std::nth_element(micros_.begin(), p99, micros_.end());
    result.p99_us = *p99;
  }

 private:
  const NanoClock& clock_;
  std::int64_t start_ = 0;
  std::vector<double> micros_;
};

double Capacity(const std::vector<NodeRoom>& nodes) { return FleetOf(nodes).gpus; }

}  // namespace

ReplayResult Replay(const Trace& trace, const Demand& demand, std::unique_ptr<Policy> policy,
                    const ReplayOptions& options, const Observer& observe) {
  const double capacity = Capacity(trace.nodes);
  auto placer = std::make_unique<Placer>(trace.nodes, *policy, options.seed);
  Arrivals arrivals(trace.pods, options.seed);
  Stopwatch stopwatch(options.clock);
  ReplayResult result;
  double arrived = 0;
  Mark now;
  while (arrived < options.load * capacity - 1e-6) {
    const PodShape& pod = arrivals.Next();
    ++result.arrived;
    if (observe) {
      if (auto other = observe(pod)) {
        placer = std::make_unique<Placer>(placer->nodes(), *other, options.seed);
        policy = std::move(other);
      }
    }
    stopwatch.Start();
    const auto decision = placer->Decide(pod);
    if (decision) placer->Take(pod, *decision);
    stopwatch.Stop();
    arrived += GpusOf(pod);
    if (decision) {
      now.cores += pod.gpus * pod.share.cores / (1000.0 * capacity);
      now.memory += pod.gpus * pod.share.memory / (1000.0 * capacity);
    } else {
      ++now.failed;
    }
    while (result.marks.size() < options.marks.size() &&
           arrived >= options.marks[result.marks.size()] * capacity - 1e-6) {
      now.load = options.marks[result.marks.size()];
      result.marks.push_back(now);
    }
  }
  result.failed = now.failed;
  result.fragmentation = FragmentationOf(placer->nodes(), demand, capacity);
  result.bytes = placer->bytes();
  stopwatch.Report(result);
  return result;
}

const std::vector<std::string>& PolicyNames() {
  static const std::vector<std::string> names{"random", "best-fit", "hami", "fgd", "fragment"};
  return names;
}

std::unique_ptr<Policy> MakePolicy(std::string_view name, const std::vector<NodeRoom>& empty_nodes,
                                   const Demand& demand, std::uint64_t seed,
                                   const ValueWeights& weights) {
  if (name == "random") return MakeRandomPolicy(seed);
  if (name == "best-fit") return MakeBestFitPolicy(empty_nodes);
  if (name == "hami") return MakeHamiPolicy();
  if (name == "fgd") return MakeFgdPolicy(demand);
  if (name == "fragment") return MakeFragmentPolicy(demand, FleetOf(empty_nodes), weights);
  return nullptr;
}

double FragmentationOf(const std::vector<NodeRoom>& nodes, const Demand& demand, double capacity) {
  double lost = 0;
  double total = 0;
  for (const auto& [shape, frequency] : demand.pods) {
    if (shape.gpus == 0) continue;
    total += frequency;
    for (const NodeRoom& node : nodes) {
      double idle = GpusLeft(node);
      if (HasRoom(node, shape)) {
        for (const Share& rest : node.rest) {
          if (Within(shape.share, rest)) idle -= GpusOf(rest);
        }
      }
      lost += frequency * idle;
    }
  }
  return total > 0 && capacity > 0 ? lost / (total * capacity) : 0;
}

}  // namespace tessera::binpack::simulate
