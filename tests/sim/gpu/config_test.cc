#include "sim/gpu/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::sim::gpu {
namespace {

using ::testing::HasSubstr;

constexpr const char* kUuid = "uuid=GPU-00000000-0000-4000-8000-00000000000a ";

TEST(Config, ReadsEveryKey) {
  const auto machine = ParseMachine(
      "# two cards\n"
      "driver version=570.1 cuda=12080\n"
      "\n"
      "  gpu uuid=GPU-01234567-89ab-cdef-0123-456789abcdef model=\"NVIDIA A 1\" memory_mib=81920 "
      "sms=132 numa=1 context_mib=500 green_mib=40 green_left_mib=4 green_reuse=1 loss=0.09 "
      "healthy=0 xid=94 cc=8.6 # a "
      "comment\r\n"
      "gpu uuid=GPU-00000000-0000-0000-0000-000000000001 memory_mib=16 healthy=lost numa=-1\n");
  ASSERT_TRUE(machine) << machine.error().message;
  EXPECT_EQ(machine->driver_version, "570.1");
  EXPECT_EQ(machine->cuda_version, 12080);
  ASSERT_EQ(machine->gpus.size(), 2U);
  const GpuConfig& gpu = machine->gpus[0];
  EXPECT_EQ(gpu.model, "NVIDIA A 1");
  EXPECT_EQ(gpu.memory_bytes(), 81920ULL << 20);
  EXPECT_EQ(gpu.sms, 132);
  EXPECT_EQ(gpu.numa, 1);
  EXPECT_EQ(gpu.context_mib, 500U);
  EXPECT_EQ(gpu.green_mib, 40U);
  EXPECT_EQ(gpu.green_left_mib, 4U);
  EXPECT_TRUE(gpu.green_reuse);
  EXPECT_DOUBLE_EQ(gpu.loss, 0.09);
  EXPECT_EQ(gpu.health, Health::kSick);
  EXPECT_EQ(gpu.xid, 94);
  EXPECT_EQ(gpu.cc_major * 10 + gpu.cc_minor, 86);
  EXPECT_EQ(gpu.uuid_bytes()[0], 0x01);
  EXPECT_EQ(gpu.uuid_bytes()[15], 0xef);
  EXPECT_EQ(gpu.pci_bus_id(), "00000000:01:00.0");
  EXPECT_EQ(machine->gpus[1].health, Health::kLost);
  EXPECT_EQ(machine->gpus[1].index, 1);
  EXPECT_EQ(machine->gpus[1].numa, -1);
}

TEST(Config, AnEmptyFileIsAMachineWithoutGpus) {
  const auto machine = ParseMachine("");
  ASSERT_TRUE(machine);
  EXPECT_TRUE(machine->gpus.empty());
}

TEST(Config, ErrorsNameLineAndKey) {
  struct Case {
    const char* name;
    std::string text;
    const char* want;
  };
  const std::string good = std::string("gpu ") + kUuid + "memory_mib=10\n";
  const Case cases[] = {
      {"word", "\ngpus uuid=1\n", "line 2: 'gpus'"},
      {"unknown key", good + "gpu " + kUuid + "memory=1", "line 2: memory: a gpu line"},
      {"driver key", "driver speed=1", "speed: a driver line has no such key"},
      {"no uuid", "gpu memory_mib=10", "line 1: uuid is missing"},
      {"no memory", std::string("gpu ") + kUuid, "memory_mib is missing"},
      {"uuid form", "gpu uuid=GPU-1 memory_mib=1", "uuid must be GPU-"},
      {"uuid capitals", "gpu uuid=GPU-0000000A-0000-4000-8000-000000000000", "uuid must be"},
      {"twice", good + good, "line 2: uuid GPU-00000000-0000-4000-8000-00000000000a stands"},
      {"memory word", std::string("gpu ") + kUuid + "memory_mib=ten",
       "memory_mib must be a number"},
      {"memory zero", std::string("gpu ") + kUuid + "memory_mib=0", "memory_mib must be"},
      {"memory huge", std::string("gpu ") + kUuid + "memory_mib=99999999999999999999", "not '9999"},
      {"memory negative", std::string("gpu ") + kUuid + "memory_mib=-1", "memory_mib must be"},
      {"health", std::string("gpu ") + kUuid + "healthy=yes", "healthy must be 1, 0 or lost"},
      {"loss", std::string("gpu ") + kUuid + "loss=nan", "loss must be"},
      {"no value", std::string("gpu ") + kUuid + "sms", "sms: a key needs =value"},
      {"quote", std::string("gpu ") + kUuid + "model=\"A", "model: the closing quote is missing"},
      {"cc", std::string("gpu ") + kUuid + "cc=9", "cc must be like 9.0"},
      {"cuda", "driver cuda=13.0", "cuda must be a number"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto machine = ParseMachine(c.text);
    ASSERT_FALSE(machine);
    EXPECT_THAT(machine.error().message, HasSubstr(c.want));
  }
}

TEST(Config, AnyBytesGiveAResultOrAnError) {
  std::string text = "gpu uuid=GPU-00000000-0000-4000-8000-00000000000a memory_mib=1 model=\"x\"\n";
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char c : {'\0', '"', '=', '\n', '#', '\xff'}) {
      std::string broken = text;
      broken[at] = c;
      (void)ParseMachine(broken);
      (void)ParseMachine(std::string_view(broken).substr(0, at));
    }
  }
}

TEST(Config, TheDefaultMachineIsOneCardOf24Gib) {
  const MachineConfig machine = DefaultMachine();
  ASSERT_EQ(machine.gpus.size(), 1U);
  EXPECT_EQ(machine.gpus[0].memory_bytes(), 24ULL << 30);
}

}  // namespace
}  // namespace tessera::sim::gpu
