#include "sim/gpu/share.h"

#include <algorithm>
#include <vector>

namespace tessera::sim::gpu {

double ShareOfDevice(std::span<const double> busy, double loss) {
  // chance[k]: that k of the others have work.
  std::vector<double> chance{1.0};
  chance.reserve(busy.size() + 1);
  for (const double part : busy) {
    const double p = std::clamp(part, 0.0, 1.0);
    chance.push_back(0.0);
    for (std::size_t k = chance.size() - 1; k > 0; --k) {
      chance[k] = chance[k] * (1 - p) + chance[k - 1] * p;
    }
    chance[0] *= 1 - p;
  }
  double share = chance[0];
  for (std::size_t k = 1; k < chance.size(); ++k) {
    share += chance[k] * (1 - loss) / static_cast<double>(k + 1);
  }
  return share;
}

}  // namespace tessera::sim::gpu
