// The simulated libraries answer the probes as real ones on an H200 did (driver 580.159).
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/sim/gpu/child.h"
#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

void Compare(const std::string& probe) {
  const Folder folder;
  // What the answers depend on: one device, with a model name longer than three bytes.
  const std::string config = folder.Write("gpus",
                                          "driver version=580.159.04 cuda=13000\n"
                                          "gpu uuid=GPU-8b441aa0-ca94-b3f7-d7fd-92a30f41d9ac "
                                          "model=\"NVIDIA H200\" memory_mib=143771\n");
  Child child(std::string(TESSERA_BINARY_DIR) + "/bin/" + probe + " 2>/dev/null",
              {{"TESSERA_SIM_GPUS", config}, {"TESSERA_SIM_STATE", folder.path()}});
  std::istringstream got(child.Rest());
  std::ifstream want(std::string(TESSERA_SOURCE_DIR) + "/tests/sim/gpu/" + probe + ".h200");
  int lines = 0;
  for (std::string wanted; std::getline(want, wanted); ++lines) {
    std::string answer;
    std::getline(got, answer);
    EXPECT_EQ(answer, wanted);
  }
  EXPECT_GT(lines, 80);
  std::string more;
  EXPECT_FALSE(std::getline(got, more)) << more;
}

TEST(Probe, TheDriverAnswersAsARealOne) { Compare("driver_probe"); }
TEST(Probe, NvmlAnswersAsARealOne) { Compare("nvml_probe"); }

TEST(Probe, NvmlShowsWhatTheContainerIsGiven) {
  const Folder folder;
  for (const auto& [visible, want] : {std::pair{"0", "\nindex: 0\n"}, {"none", "\nindex: 2\n"}}) {
    Child child(std::string(TESSERA_BINARY_DIR) + "/bin/nvml_probe",
                {{"TESSERA_SIM_GPUS", ""},
                 {"TESSERA_SIM_STATE", folder.path()},
                 {"TESSERA_SIM_VISIBLE", visible},
                 {"CUDA_VISIBLE_DEVICES", ""}});
    EXPECT_NE(child.Rest().find(want), std::string::npos) << visible;
  }
}

}  // namespace
}  // namespace tessera::sim::gpu
