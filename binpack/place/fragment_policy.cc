#include <algorithm>
#include <cmath>

#include "binpack/place/policy.h"

namespace tessera::binpack {
namespace {

/// Prices move only when they are off by this much: every move voids all scores.
constexpr double kPriceSlack = 0.15;

class FragmentPolicy : public Policy {
 public:
  FragmentPolicy(const Demand& demand, const Fleet& fleet, const ValueWeights& weights)
      : value_(demand, fleet, weights) {}

  std::string_view name() const override { return "fragment"; }

  double Value(const NodeRoom& room) override { return value_.Lost(room, prices_); }

  float Score(const NodeRoom& room, double value, const PodShape& shape,
              GpuChoice& choice) override {
    const double after = LeastLost(room, shape, choice, [this](const NodeRoom& candidate) {
      return value_.Lost(candidate, prices_);
    });
    return static_cast<float>(value - after);
  }

  bool Observe(const NodeRoom& before, const NodeRoom& after) override {
    if (WholeGpus(before) == WholeGpus(after)) return false;
    CountSlots(before, -1, free_slots_);
    CountSlots(after, 1, free_slots_);
    const SlotPrices wanted = value_.PricesFor(free_slots_);
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      if (std::abs(wanted[k] - prices_[k]) > kPriceSlack * prices_[k]) {
        prices_ = wanted;
        return true;
      }
    }
    return false;
  }

 private:
  NodeValue value_;
  SlotCounts free_slots_{};
  SlotPrices prices_{};
};

}  // namespace

std::unique_ptr<Policy> MakeFragmentPolicy(const Demand& demand, const Fleet& fleet,
                                           const ValueWeights& weights) {
  return std::make_unique<FragmentPolicy>(demand, fleet, weights);
}

}  // namespace tessera::binpack
