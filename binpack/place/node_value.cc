#include "binpack/place/node_value.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace tessera::binpack {
namespace {

/// The part of all GPUs that are of a model which the pod takes.
double AccessiblePart(const PodShape& shape, const Fleet& fleet) {
  double gpus = 0;
  for (std::size_t model = 0; model < fleet.gpus_of_model.size(); ++model) {
    if ((shape.models >> model & 1U) != 0) gpus += fleet.gpus_of_model[model];
  }
  return fleet.gpus > 0 ? gpus / fleet.gpus : 0;
}

/// How scarce CPU is against GPUs: 1 where it runs out first or together, near 0 where it never
/// will.
double CpuScarcity(const DemandTotals& totals, const Fleet& fleet, double power) {
  if (totals.gpus <= 0 || fleet.cpu_milli <= 0 || fleet.gpus <= 0) return 0;
  const double load = (totals.cpu_milli / fleet.cpu_milli) / (totals.gpus / fleet.gpus);
  return std::pow(std::min(1.0, load), power);
}

}  // namespace

NodeValue::NodeValue(const Demand& demand, const Fleet& fleet, const ValueWeights& weights)
    : weights_(weights), rest_worth_(demand), totals_(TotalsOf(demand)) {
  const double scarcity = CpuScarcity(totals_, fleet, weights.cpu_scarcity_power);
  BuildTables(demand, fleet, weights.cpu * scarcity);
  std::map<int, double> share;  // of GPU demand, by slot size
  for (const auto& [shape, frequency] : demand.pods) {
    if (shape.gpus > 1) share[shape.gpus] += frequency * GpusOf(shape) / totals_.gpus;
  }
  for (const auto& [k, part] : share) {
    slot_sizes_.push_back(k);
    // Where CPU runs out first some GPUs stay idle anyway, and keeping them together is worth less.
    slot_price_[static_cast<std::size_t>(k)] = weights.slots * k * (1 - scarcity / 2);
    slot_reserve_[static_cast<std::size_t>(k)] = weights.slot_reserve * part * fleet.gpus / k;
  }
}

void NodeValue::BuildTables(const Demand& demand, const Fleet& fleet, double unused_price) {
  std::map<std::pair<std::int16_t, Share>, std::size_t> size_index;
  for (const auto& [shape, frequency] : demand.pods) {
    cpu_steps_.push_back(shape.cpu_milli);
    if (shape.gpus == 0) continue;
    if (size_index.emplace(std::pair{shape.gpus, shape.share}, sizes_.size()).second) {
      sizes_.push_back({shape.gpus, shape.share});
    }
  }
  std::sort(cpu_steps_.begin(), cpu_steps_.end());
  cpu_steps_.erase(std::unique(cpu_steps_.begin(), cpu_steps_.end()), cpu_steps_.end());
  models_ = fleet.gpus_of_model.size();
  hosted_.assign(Index(models_, 0, 0), {});
  cpu_only_.assign(cpu_steps_.size() + 1, 0);

  for (const auto& [shape, frequency] : demand.pods) {
    const auto rank = static_cast<std::size_t>(
        std::upper_bound(cpu_steps_.begin(), cpu_steps_.end(), shape.cpu_milli) -
        cpu_steps_.begin());
    const double cpu_weight =
        totals_.cpu_per_gpu > 0 ? frequency * unused_price / totals_.cpu_per_gpu : 0;
    if (shape.gpus == 0) {
      cpu_weight_ += cpu_weight;
      for (std::size_t r = rank; r <= cpu_steps_.size(); ++r)
        cpu_only_[r] += static_cast<float>(cpu_weight);
      continue;
    }
    const double part = AccessiblePart(shape, fleet);
    if (part <= 0) continue;  // it will never be hosted
    const double gpu_weight =
        frequency * (weights_.typical + unused_price + weights_.scarcity * (1 / part - 1));
    gpu_weight_ += gpu_weight;
    cpu_weight_ += cpu_weight;
    const std::size_t size = size_index.at({shape.gpus, shape.share});
    for (std::size_t model = 0; model < models_; ++model) {
      if ((shape.models >> model & 1U) == 0) continue;
      for (std::size_t r = rank; r <= cpu_steps_.size(); ++r) {
        Hosted& hosted = hosted_[Index(model, size, r)];
        hosted.gpu_weight += static_cast<float>(gpu_weight);
        hosted.cpu_weight += static_cast<float>(cpu_weight);
      }
    }
  }
}

double NodeValue::TypicalLoss(const NodeRoom& room, double gpus_left) const {
  const auto rank = static_cast<std::size_t>(
      std::upper_bound(cpu_steps_.begin(), cpu_steps_.end(), room.cpu_milli) - cpu_steps_.begin());
  double usable_gpus = 0;
  double usable_cpu = cpu_only_[rank];
  const Hosted* hosted = hosted_.data() + Index(static_cast<std::size_t>(room.model), 0, rank);
  const std::size_t stride = cpu_steps_.size() + 1;
  for (const Size& size : sizes_) {
    const Hosted here = *hosted;
    hosted += stride;
    if (here.gpu_weight == 0 && here.cpu_weight == 0) continue;
    int enough = 0;
    int sum = 0;
    for (int i = 0; i < room.gpus; ++i) {
      const Share& rest = room.rest[static_cast<std::size_t>(i)];
      const bool fits = Within(size.share, rest);
      enough += fits ? 1 : 0;
      sum += fits ? rest.memory + rest.cores : 0;
    }
    if (enough < size.gpus) continue;
    usable_gpus += static_cast<double>(here.gpu_weight) * sum;
    usable_cpu += static_cast<double>(here.cpu_weight);
  }
  const double idle_cpu = room.cpu_milli == kUnknownCpu ? 0 : room.cpu_milli;
  return gpu_weight_ * gpus_left - usable_gpus / 2000 + (cpu_weight_ - usable_cpu) * idle_cpu;
}

double NodeValue::Stranded(const NodeRoom& room, double gpus_left) const {
  if (totals_.cpu_per_gpu <= 0 || room.cpu_milli == kUnknownCpu) return 0;
  return std::max(0.0, gpus_left - room.cpu_milli / totals_.cpu_per_gpu);
}

double NodeValue::Lost(const NodeRoom& room, const SlotPrices& prices) const {
  const double gpus_left = GpusLeft(room);
  double worth = 0;
  for (int i = 0; i < room.gpus; ++i)
    worth += rest_worth_.of(room.rest[static_cast<std::size_t>(i)]);
  double lost = weights_.rest * (gpus_left - worth) + TypicalLoss(room, gpus_left) +
                weights_.stranded * Stranded(room, gpus_left);
  if (!slot_sizes_.empty()) {
    const int whole = WholeGpus(room);
    for (const int k : slot_sizes_) lost -= prices[static_cast<std::size_t>(k)] * (whole / k);
  }
  return lost;
}

SlotPrices NodeValue::PricesFor(const SlotCounts& free_slots) const {
  SlotPrices prices{};
  for (const int k : slot_sizes_) {
    const auto i = static_cast<std::size_t>(k);
    prices[i] = slot_price_[i] * std::min(1.0, slot_reserve_[i] / std::max(1, free_slots[i]));
  }
  return prices;
}

void CountSlots(const NodeRoom& room, int sign, SlotCounts& slots) {
  const int whole = WholeGpus(room);
  for (int k = 2; k <= kMaxRoomGpus; ++k) slots[static_cast<std::size_t>(k)] += sign * (whole / k);
}

}  // namespace tessera::binpack
