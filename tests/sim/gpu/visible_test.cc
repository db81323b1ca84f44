#include "sim/gpu/visible.h"

#include <gtest/gtest.h>

namespace tessera::sim::gpu {
namespace {

std::vector<GpuConfig> Machine() {
  std::vector<GpuConfig> machine(4);
  for (int i = 0; i < 4; ++i) machine[static_cast<std::size_t>(i)].index = i;
  machine[0].uuid = "GPU-aaaa0000-0000-0000-0000-000000000000";
  machine[1].uuid = "GPU-aaab0000-0000-0000-0000-000000000000";
  machine[2].uuid = "GPU-bbbb0000-0000-0000-0000-000000000000";
  machine[3].uuid = "GPU-12340000-0000-0000-0000-000000000000";
  return machine;
}

std::string Indexes(const std::vector<GpuConfig>& devices) {
  std::string text;
  for (const GpuConfig& device : devices) text += std::to_string(device.index);
  return text;
}

TEST(Visible, ContainerListNamesDevicesInMachineOrder) {
  struct Case {
    std::optional<std::string_view> list;
    const char* want;
  };
  const Case cases[] = {
      {std::nullopt, "0123"},
      {"all", "0123"},
      {"", ""},
      {"void", ""},
      {"none", ""},
      {"2,0", "02"},
      {"GPU-bbbb0000-0000-0000-0000-000000000000", "2"},
      {"GPU-bbbb0000-0000-0000-0000-000000000000,0", "02"},
      {"1, 3", "13"},
      {"7,1", "1"},
      {"1,1", "1"},
      {"GPU-ffff0000-0000-0000-0000-000000000000", ""},
      {"-1", ""},
      {",", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.list.value_or("(unset)"));
    EXPECT_EQ(Indexes(ContainerDevices(Machine(), c.list)), c.want);
  }
}

// Confirmed on a real driver by driver_probe's part "visible", as far as one GPU can.
TEST(Visible, CudaListEndsAtTheFirstBadEntry) {
  struct Case {
    std::optional<std::string_view> list;
    const char* want;
    bool twice = false;
  };
  const Case cases[] = {
      {std::nullopt, "0123"},
      {"", ""},
      {"-1", ""},
      {"2,0", "20"},
      {"0,9,1", "0"},
      {"9,0", ""},
      {"1,-1,2", "1"},
      {"0,0", "", true},
      {"2,1,2", "", true},
      {" 0", "0"},
      {"0x", "0"},
      {"+1", "1"},
      {"1;2", "1"},
      {"GPU-bbbb0000-0000-0000-0000-000000000000", "2"},
      {"GPU-bb", "2"},
      {"GPU-BB", "2"},
      {"GPU-aaa", ""},  // two of them begin so
      {"GPU-aaaa,GPU-aaab", "01"},
      {"GPU-", ""},
      {"gpu-bbbb", ""},
      {"GPU-bbbb,0", "2"},  // of the other kind
      {"0,GPU-bbbb", "0"},
      {"GPU-bb,GPU-bbbb", "", true},
      {"all", ""},
      {"void", ""},
      {",0", ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.list.value_or("(unset)"));
    const CudaSelection selection = CudaDevices(Machine(), c.list);
    EXPECT_EQ(Indexes(selection.devices), c.want);
    EXPECT_EQ(selection.named_twice, c.twice);
  }
}

TEST(Visible, CudaIndexesCountWhatTheContainerShows) {
  const auto container = ContainerDevices(Machine(), "1,3");
  EXPECT_EQ(Indexes(CudaDevices(container, "1,0").devices), "31");
}

}  // namespace
}  // namespace tessera::sim::gpu
