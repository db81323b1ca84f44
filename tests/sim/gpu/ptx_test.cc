#include "sim/cuda/ptx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/gpu/kernels.h"

namespace tessera::sim::cuda {
namespace {

using ::testing::HasSubstr;

const std::string kHead = ".version 7.0\n.target sm_70\n.address_size 64\n";

TEST(Ptx, FindsTheKernelsThatTestsShare) {
  const auto image = ParsePtx(gpu::kKernelsPtx);
  ASSERT_TRUE(image) << image.error().message;
  ASSERT_EQ(image->entries.size(), 3U);
  EXPECT_EQ(image->entries[0].name, "spin");
  ASSERT_EQ(image->entries[0].parameters.size(), 1U);
  EXPECT_EQ(image->entries[0].parameters[0].bytes, 8U);
  EXPECT_EQ(image->entries[1].name, "noop");
  EXPECT_EQ(image->entries[2].name, "poison");
  ASSERT_EQ(image->globals.size(), 1U);
  EXPECT_EQ(image->globals[0].bytes, 4096U);
}

TEST(Ptx, LaysParametersOutAsTheyAreAligned) {
  const auto image = ParsePtx(kHead +
                              ".entry k(.param .u8 a, .param .u64 b, .param .align 4 .b8 c[12], "
                              ".param .f32 d[2][3]) { .reg .u32 %r<3>; { } ret; }");
  ASSERT_TRUE(image) << image.error().message;
  const auto& parameters = image->entries.at(0).parameters;
  ASSERT_EQ(parameters.size(), 4U);
  const std::size_t want[][2] = {{0, 1}, {8, 8}, {16, 12}, {28, 24}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(parameters[i].offset, want[i][0]);
    EXPECT_EQ(parameters[i].bytes, want[i][1]);
  }
}

TEST(Ptx, SkipsCommentsAndBodies) {
  const auto image = ParsePtx("// a line\n/* .entry no() {} */" + kHead +
                              ".func f() { .entry hidden }\n.visible .entry yes\n{ ret; }");
  ASSERT_TRUE(image) << image.error().message;
  ASSERT_EQ(image->entries.size(), 1U);
  EXPECT_EQ(image->entries[0].name, "yes");
}

TEST(Ptx, ErrorsSayWhatIsWrong) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "no .version"},
      {"hello", "no .version"},
      {".version 7.0\n", "no .target"},
      {kHead + ".entry {", ".entry needs a name"},
      {kHead + ".entry", ".entry needs a name"},
      {kHead + ".entry k(.param .u64 a", "no closing bracket"},
      {kHead + ".entry k(.param", "ends within a declaration"},
      {kHead + ".entry k(.param .b7 a) {}", "a: no known type"},
      {kHead + ".entry k(.param .b8 a[x]) {}", "a: bad array size"},
      {kHead + ".global .b8 a[99999999999999999999];", "a: bad array size"},
      {kHead + ".global .align x .b8 a;", ".align needs a number"},
      {kHead + ".entry k() { ret;", "is not closed"},
      {kHead + "}", "unbalanced }"},
  };
  for (const auto& [text, want] : cases) {
    SCOPED_TRACE(text);
    const auto image = ParsePtx(text);
    ASSERT_FALSE(image);
    EXPECT_THAT(image.error().message, HasSubstr(want));
  }
}

TEST(Ptx, EveryBeginningOfATextGivesAResultOrAnError) {
  const std::string text = gpu::kKernelsPtx;
  for (std::size_t length = 0; length < text.size(); ++length) {
    (void)ParsePtx(std::string_view(text).substr(0, length));
  }
}

}  // namespace
}  // namespace tessera::sim::cuda
