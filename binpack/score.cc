#include "binpack/score.h"

#include <algorithm>

namespace tessera::binpack {
namespace {

using Wide = __int128;

/// The mean of part/capacity over both dimensions, in [0, kMaxFineScore].
std::int64_t MeanShare(const Amount& part, const Amount& capacity) {
  const Wide numerator = Wide{part.memory_mib} * capacity.cores_percent +
                         Wide{part.cores_percent} * capacity.memory_mib;
  const Wide denominator = Wide{2} * capacity.memory_mib * capacity.cores_percent;
  if (denominator <= 0) return 0;
  return static_cast<std::int64_t>(std::clamp(numerator, Wide{0}, denominator) * kMaxFineScore /
                                   denominator);
}

/// How much fragment goes away, in GPUs for each GPU touched, from -1 (0) over 0 (the middle) to 1
/// (the maximum).
std::int64_t FragmentUsedUp(const Fragmentation& before, const Fragmentation& after,
                            std::size_t gpus, std::size_t touched) {
  const Wide memory = before.lost_memory - after.lost_memory;
  const Wide cores = before.lost_cores - after.lost_cores;
  const Wide gained =
      (memory * before.capacity_cores + cores * before.capacity_memory) * static_cast<Wide>(gpus);
  const Wide scale = Wide{2} * before.capacity_memory * before.capacity_cores *
                     before.total_frequency * static_cast<Wide>(touched);
  if (scale <= 0) return kMaxFineScore / 2;
  return static_cast<std::int64_t>((std::clamp(gained, -scale, scale) + scale) *
                                   (kMaxFineScore / 2) / scale);
}

}  // namespace

std::int64_t PackScore(const NodeInfo& node, const Reservation& reservation,
                       const Workload& workload, const Fragmentation& before) {
  if (reservation.devices.empty()) return 0;
  const auto rests = RestsAfter(node, reservation);
  std::size_t gpus = 0;
  std::int64_t fullness = 0;
  for (std::size_t i = 0; i < rests.size(); ++i) {
    gpus += rests[i].capacity.memory_mib > 0 ? 1 : 0;
    const auto touches = [&](const DeviceReservation& held) {
      return held.uuid == node.devices[i].device.uuid;
    };
    if (!std::any_of(reservation.devices.begin(), reservation.devices.end(), touches)) continue;
    fullness += MeanShare(rests[i].capacity - rests[i].free, rests[i].capacity);
  }
  const std::int64_t used_up =
      FragmentUsedUp(before, Measure(rests, workload), gpus, reservation.devices.size());
  return (3 * used_up + fullness / static_cast<std::int64_t>(reservation.devices.size())) / 4;
}

std::int64_t SpreadScore(const NodeInfo& node, const Reservation& reservation) {
  Amount free;
  Amount capacity;
  for (const GpuRest& rest : RestsAfter(node, reservation)) {
    free += rest.free;
    capacity += rest.capacity;
  }
  return MeanShare(free, capacity);
}

std::int64_t FineScore(PlacementPolicy policy, const NodeInfo& node, const Reservation& reservation,
                       const Workload& workload, const Fragmentation& before) {
  return policy == PlacementPolicy::kPack ? PackScore(node, reservation, workload, before)
                                          : SpreadScore(node, reservation);
}

std::int64_t ToNodeScore(std::int64_t fine) { return fine * kMaxNodeScore / kMaxFineScore; }

}  // namespace tessera::binpack
