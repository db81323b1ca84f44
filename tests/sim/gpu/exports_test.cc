// The libraries export what they should and nothing else, under the names that programs look for.
#include <cstdio>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::sim::gpu {
namespace {

const std::string kFolder = std::string(TESSERA_BINARY_DIR) + "/lib/sim/";

std::string Output(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) text += static_cast<char>(c);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return text;
}

std::set<std::string> Exports(const std::string& library) {
  std::istringstream lines(Output("nm -D --defined-only " + kFolder + library));
  std::set<std::string> names;
  std::string address;
  std::string kind;
  std::string name;
  while (lines >> address >> kind >> name) names.insert(name);
  return names;
}

TEST(Exports, TheDriverExportsItsTable) {
  const std::set<std::string> table = {
#define TESSERA_SYMBOL(symbol, name, since, streams) #symbol,
#include "sim/cuda/symbols.def"
#undef TESSERA_SYMBOL
  };
  EXPECT_EQ(Exports("libcuda.so.1"), table);
}

TEST(Exports, NvmlExportsNothingElse) {
  const auto names = Exports("libnvidia-ml.so.1");
  EXPECT_GT(names.size(), 40U);
  for (const std::string& name : names) EXPECT_EQ(name.substr(0, 4), "nvml");
}

TEST(Exports, LibrariesAreFoundByTheirSonames) {
  for (const char* library : {"libcuda.so.1", "libnvidia-ml.so.1"}) {
    EXPECT_THAT(Output("readelf -d " + kFolder + library),
                ::testing::HasSubstr(std::string("soname: [") + library + "]"));
  }
  EXPECT_THAT(Output("readelf -d " + std::string(TESSERA_BINARY_DIR) + "/bin/sim_workload"),
              ::testing::HasSubstr("NEEDED)             Shared library: [libcuda.so.1]"));
}

}  // namespace
}  // namespace tessera::sim::gpu
