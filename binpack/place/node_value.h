#pragma once

#include <array>
#include <vector>

#include "binpack/place/demand.h"
#include "binpack/place/rest_worth.h"

namespace tessera::binpack {

/// How much each term of NodeValue counts; 0 leaves it out. README.md has the reasons and what
/// dropping a term costs.
struct ValueWeights {
  double rest = 1;        ///< rests of GPUs that the sizes of the demand do not fill
  double scarcity = 1;    ///< GPUs that requests for certain models lose, dearer for rare models
  double typical = 0.02;  ///< idle GPUs that the mean typical pod cannot use: decides between
                          ///< places that are equal otherwise
  double stranded = 1.5;  ///< GPUs for which the node will have no CPU left
  double cpu = 0.7;       ///< idle CPU and GPUs that the mean typical pod cannot use, while CPU is
                          ///< scarce
  double slots = 0.22;    ///< for each GPU of a slot that a multi-GPU pod can take
  double slot_reserve = 0.25;      ///< a slot has its full price while fewer than this part of the
                                   ///< demanded slots are free
  double cpu_scarcity_power = 16;  ///< how steeply `cpu` falls off while CPU is in less demand

  bool operator==(const ValueWeights&) const = default;
};

/// Prices and numbers of whole-node slots: of k free GPUs on one node, for each k.
using SlotPrices = std::array<double, kMaxRoomGpus + 1>;
using SlotCounts = std::array<int, kMaxRoomGpus + 1>;

/// What is lost on a node to the pods to come, in GPUs: the less the better. Differences are what
/// counts; a value can be negative. Thread-compatible.
class NodeValue {
 public:
  NodeValue(const Demand& demand, const Fleet& fleet, const ValueWeights& weights);

  /// REQUIRES: the fleet has the room's model; prices from PricesFor.
  double Lost(const NodeRoom& room, const SlotPrices& prices) const;

  /// True for a model that the fleet has, or a smaller number than one.
  bool knows(std::int16_t model) const { return static_cast<std::size_t>(model) < models_; }

  /// Prices while so many slots of k GPUs are free: they rise when slots are scarce against their
  /// share of demand.
  SlotPrices PricesFor(const SlotCounts& free_slots) const;

  const RestWorth& rest_worth() const { return rest_worth_; }

 private:
  /// Typical pods with the same wish for GPUs, by the rank of their CPU request.
  struct Size {
    std::int16_t gpus;
    Share share;
  };
  /// Sums over the typical pods of a size that a node of a model and a CPU rank can host.
  struct Hosted {
    float gpu_weight = 0;
    float cpu_weight = 0;
  };

  std::size_t Index(std::size_t model, std::size_t size, std::size_t rank) const {
    return (model * sizes_.size() + size) * (cpu_steps_.size() + 1) + rank;
  }
  /// `unused_price` of idle CPU (in GPUs), and on top of `typical` of idle GPUs, that typical pods
  /// cannot use.
  void BuildTables(const Demand& demand, const Fleet& fleet, double unused_price);
  double TypicalLoss(const NodeRoom& room, double gpus_left) const;
  double Stranded(const NodeRoom& room, double gpus_left) const;

  ValueWeights weights_;
  RestWorth rest_worth_;
  DemandTotals totals_;
  std::vector<Size> sizes_;
  std::size_t models_ = 0;
  std::vector<std::int32_t> cpu_steps_;  ///< distinct CPU requests, ascending
  std::vector<Hosted> hosted_;           ///< by model, size and CPU rank
  std::vector<float> cpu_only_;          ///< cpu_weight of hosted pods without GPUs, by CPU rank
  double gpu_weight_ = 0;                ///< sums over all typical pods
  double cpu_weight_ = 0;
  std::vector<int> slot_sizes_;  ///< the k > 1 that typical pods ask for as whole GPUs
  SlotPrices slot_price_{};      ///< while they are scarce
  SlotPrices slot_reserve_{};    ///< slots below which the price is full
};

/// Free slots of k GPUs on the node, for each k.
void CountSlots(const NodeRoom& room, int sign, SlotCounts& slots);

}  // namespace tessera::binpack
