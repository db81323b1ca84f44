#include "binpack/score.h"

#include <algorithm>

#include "binpack/fragmentation.h"

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

}  // namespace

std::int64_t SpreadScore(const NodeInfo& node, const Reservation& reservation) {
  Amount free;
  Amount capacity;
  for (const GpuRest& rest : RestsAfter(node, reservation)) {
    free += rest.free;
    capacity += rest.capacity;
  }
  return MeanShare(free, capacity);
}

std::int64_t ToNodeScore(std::int64_t fine) { return fine * kMaxNodeScore / kMaxFineScore; }

}  // namespace tessera::binpack
