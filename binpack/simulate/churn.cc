#include "binpack/simulate/churn.h"

#include <algorithm>
#include <queue>
#include <random>

#include "binpack/place/placer.h"

namespace tessera::binpack::simulate {
namespace {

struct Running {
  double end = 0;
  PodShape pod;
  Decision decision;
  bool operator>(const Running& other) const { return end > other.end; }
};
using Departures = std::priority_queue<Running, std::vector<Running>, std::greater<>>;

/// The time integral of what is allocated, from `begin` on.
class Integral {
 public:
  explicit Integral(double begin) : last_(begin) {}
  void Advance(double now) {
    if (now <= last_) return;
    area_ += level * (now - last_);
    last_ = now;
  }
  double area() const { return area_; }
  double level = 0;

 private:
  double last_;
  double area_ = 0;
};

}  // namespace

ChurnResult Churn(const Trace& trace, std::unique_ptr<Policy> policy, const ChurnOptions& options) {
  const double capacity = FleetOf(trace.nodes).gpus;
  double demand = 0;
  for (const PodShape& pod : trace.pods) demand += GpusOf(pod);
  const double rate = options.offered * capacity * static_cast<double>(trace.pods.size()) / demand;
  std::mt19937_64 random(options.seed);
  std::exponential_distribution<double> gap(rate);
  std::exponential_distribution<double> lifetime(1.0);

  Placer placer(trace.nodes, *policy, options.seed);
  Departures departures;
  Integral allocated(options.warm_up);
  double offered = 0;
  double blocked = 0;
  const double end = options.warm_up + options.measured;
  for (double now = gap(random); now < end; now += gap(random)) {
    while (!departures.empty() && departures.top().end <= now) {
      const Running& gone = departures.top();
      allocated.Advance(gone.end);
      allocated.level -= GpusOf(gone.pod);
      placer.Give(gone.pod, gone.decision);
      departures.pop();
    }
    allocated.Advance(now);
    const PodShape& pod = trace.pods[random() % trace.pods.size()];
    const double stays = lifetime(random);
    const auto decision = placer.Decide(pod);
    if (now > options.warm_up) offered += GpusOf(pod);
    if (!decision) {
      if (now > options.warm_up) blocked += GpusOf(pod);
      continue;
    }
    placer.Take(pod, *decision);
    allocated.level += GpusOf(pod);
    departures.push({now + stays, pod, *decision});
  }
  allocated.Advance(end);
  return {.allocated = allocated.area() / (options.measured * capacity),
          .blocked = offered > 0 ? blocked / offered : 0};
}

}  // namespace tessera::binpack::simulate
