#include "extender/workload_file.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace tessera::extender {
namespace {

class WorkloadFileTest : public testing::Test {
 protected:
  WorkloadFileTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("workload_file_test." + std::to_string(getpid()))) {
    std::filesystem::create_directory(folder_);
  }
  ~WorkloadFileTest() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

TEST_F(WorkloadFileTest, ReadsBackWhatWasWrittenLast) {
  WriteWorkload(Path("w"), "one\n");
  WriteWorkload(Path("w"), "two\n");
  EXPECT_EQ(ReadWorkload(Path("w")), "two\n");
  EXPECT_FALSE(std::filesystem::exists(Path("w.new"))) << "nothing is left behind";
}

TEST_F(WorkloadFileTest, NoFileIsNoText) {
  EXPECT_EQ(ReadWorkload(Path("none")), "");
  EXPECT_EQ(ReadWorkload(""), "");
}

TEST_F(WorkloadFileTest, AHalfWrittenSuccessorDoesNotCount) {
  WriteWorkload(Path("w"), "old\n");
  std::ofstream(Path("w.new")) << "ne";
  EXPECT_EQ(ReadWorkload(Path("w")), "old\n");
  WriteWorkload(Path("w"), "newer\n");
  EXPECT_EQ(ReadWorkload(Path("w")), "newer\n");
}

TEST_F(WorkloadFileTest, WhereNothingCanBeWrittenNothingHappens) {
  WriteWorkload(Path("no/such/folder/w"), "x");
  WriteWorkload("", "x");
  EXPECT_EQ(ReadWorkload(Path("no/such/folder/w")), "");
}

}  // namespace
}  // namespace tessera::extender
