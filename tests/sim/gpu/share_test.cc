#include "sim/gpu/share.h"

#include <vector>

#include <gtest/gtest.h>

namespace tessera::sim::gpu {
namespace {

TEST(Share, IsOneOverTheProcessesWithWork) {
  struct Case {
    std::vector<double> busy;
    double loss;
    double want;
  };
  const Case cases[] = {
      {{}, 0, 1.0},
      {{}, 0.5, 1.0},  // nothing is lost alone
      {{1}, 0, 0.5},
      {{1, 1}, 0, 1.0 / 3},
      {{1, 1, 1}, 0, 0.25},
      {{0, 0}, 0, 1.0},
      {{0.5}, 0, 0.75},
      {{1}, 0.09, 0.455},  // what an H200 gave each of two tenants
      {{1, 1, 1}, 0.088, 0.228},
      {{2.0, -1.0}, 0, 0.5},  // clamped
  };
  for (const Case& c : cases) {
    EXPECT_NEAR(ShareOfDevice(c.busy, c.loss), c.want, 1e-9);
  }
}

TEST(Share, DoesNotDependOnTheOrder) {
  const std::vector<double> one{0.2, 0.7, 1.0};
  const std::vector<double> other{1.0, 0.2, 0.7};
  EXPECT_NEAR(ShareOfDevice(one, 0.1), ShareOfDevice(other, 0.1), 1e-12);
}

}  // namespace
}  // namespace tessera::sim::gpu
