#include "interceptor/device_bytes.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

constexpr std::uint64_t kMib = 1 << 20;

struct Case {
  const char* name;
  DeviceBytes before;
  DeviceBytes after;
  std::uint64_t want;
};

DeviceBytes Own(std::uint64_t mib, std::uint64_t charged_mib) {
  return {.bytes = mib * kMib, .charged = charged_mib * kMib, .of_process = true};
}
DeviceBytes Whole(std::uint64_t mib, std::uint64_t charged_mib) {
  return {.bytes = mib * kMib, .charged = charged_mib * kMib, .of_process = false};
}

TEST(DeviceBytes, GrownIsWhatIsNotChargedYet) {
  const Case cases[] = {
      {"nothing moved", Own(500, 500), Own(500, 500), 0},
      {"it took 5", Own(500, 500), Own(505, 500), 5},
      {"another thread took 64 beside", Own(500, 500), Own(569, 564), 5},
      {"another thread freed 64 beside", Own(500, 500), Own(441, 436), 5},
      {"a call under way has reserved already", Own(500, 500), Own(505, 564), 0},
      {"it shrank", Own(500, 500), Own(400, 500), 0},
      {"the process was not listed before", Whole(9000, 0), Own(518, 0), 518},
      {"never listed", Whole(9000, 0), Whole(9518, 0), 518},
      {"as large as a context can be", Whole(9000, 0), Whole(9000 + 4096, 0), 4096},
      {"larger: somebody else's", Whole(9000, 0), Whole(9000 + 4097, 0), 0},
      {"without NVML", {}, {}, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(Grown(c.before, c.after), c.want * kMib);
  }
}

TEST(DeviceBytes, LeftIsBetweenNothingAndTheCharge) {
  const Case cases[] = {
      // of a charge of 5 MiB
      {"all came back", Own(505, 505), Own(500, 505), 0},
      {"one came back", Own(505, 505), Own(504, 505), 4},
      {"none came back", Own(505, 505), Own(505, 505), 5},
      {"more came back", Own(505, 505), Own(400, 505), 0},
      {"more was taken", Own(505, 505), Own(600, 505), 5},
      {"another thread took 64 beside", Own(505, 505), Own(568, 569), 4},
      {"another thread freed 64 beside", Own(505, 505), Own(440, 441), 4},
      {"not listed", Whole(9000, 505), Whole(8999, 505), 0},
      {"not listed, and others take", Whole(9000, 505), Whole(9500, 505), 0},
      {"not listed any more", Own(505, 505), Whole(9000, 505), 0},
      {"listed only now", Whole(9000, 505), Own(504, 505), 0},
      {"without NVML", {}, {}, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(LeftOf(5 * kMib, c.before, c.after), c.want * kMib);
  }
}

/// The region is the tenant's file.
TEST(DeviceBytes, AScribbledAccountMovesNoMoreThanTheCharge) {
  const std::uint64_t figures[] = {0, 1, 1ULL << 63, (1ULL << 63) + 1, ~0ULL};
  for (const std::uint64_t from : figures) {
    for (const std::uint64_t to : figures) {
      const DeviceBytes before = {.bytes = kMib, .charged = from, .of_process = true};
      const DeviceBytes after = {.bytes = kMib, .charged = to, .of_process = true};
      EXPECT_LE(LeftOf(5 * kMib, before, after), 5 * kMib);
      EXPECT_LE(Grown(before, after), region::kMaxContextBytes);
    }
  }
}

}  // namespace
}  // namespace tessera
