#include "common/kube/random.h"

#include <random>

namespace tessera::kube {

double RandomUnit() {
  thread_local std::mt19937_64 engine(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

}  // namespace tessera::kube
