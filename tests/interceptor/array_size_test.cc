#include "interceptor/array_size.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

constexpr std::size_t kHuge = std::size_t{1} << 40;

TEST(ArraySize, CountsTiles) {
  struct Case {
    const char* name;
    CUDA_ARRAY3D_DESCRIPTOR descriptor;
    std::uint64_t want;
  };
  const Case cases[] = {
      {"line", {100, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0}, 128 * 8},
      {"plane", {100, 10, 0, CU_AD_FORMAT_SIGNED_INT16, 2, 0}, 448 * 16},
      {"half", {100, 10, 0, CU_AD_FORMAT_HALF, 4, 0}, 832 * 16},
      {"solid", {10, 10, 10, CU_AD_FORMAT_FLOAT, 4, 0}, 192 * 16 * 10},
      {"cube faces", {8, 8, 6, CU_AD_FORMAT_UNSIGNED_INT32, 1, CUDA_ARRAY3D_CUBEMAP}, 64 * 8 * 6},
      {"layers of lines",
       {8, 0, 5, CU_AD_FORMAT_UNSIGNED_INT8, 1, CUDA_ARRAY3D_LAYERED},
       64 * 8 * 5},
      // 1030 rows of 4120 bytes: 65 tiles of 64 bytes, and rows in stacks of 128. An H200 gave 6
      // MiB for it, which is this in blocks.
      {"odd plane", {1030, 1030, 0, CU_AD_FORMAT_FLOAT, 1, 0}, 4160 * 1152},
      {"unknown format", {10, 0, 0, static_cast<CUarray_format>(0x30), 4, 0}, 192 * 8},
      {"sparse", {1024, 1024, 0, CU_AD_FORMAT_FLOAT, 4, CUDA_ARRAY3D_SPARSE}, 0},
      {"deferred", {1024, 1024, 0, CU_AD_FORMAT_FLOAT, 4, CUDA_ARRAY3D_DEFERRED_MAPPING}, 0},
      {"more than there is", {kHuge, kHuge, kHuge, CU_AD_FORMAT_FLOAT, 4, 0}, ~std::uint64_t{0}},
      {"nothing", {0, 0, 0, CU_AD_FORMAT_FLOAT, 1, 0}, 0},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(ArrayBytes(c.descriptor), c.want);
  }
}

TEST(ArraySize, SumsLevels) {
  struct Case {
    const char* name;
    CUDA_ARRAY3D_DESCRIPTOR descriptor;
    unsigned int levels;
    std::uint64_t want;
  };
  const auto kByte = CU_AD_FORMAT_UNSIGNED_INT8;
  const Case cases[] = {
      {"one level", {8, 8, 0, kByte, 1, 0}, 1, 512},
      {"three levels", {8, 8, 0, kByte, 1, 0}, 3, 3 * 512},
      {"down to one", {8, 8, 0, kByte, 1, 0}, 4, 4 * 512},
      {"no more than there are", {8, 8, 0, kByte, 1, 0}, 4'000'000'000, 4 * 512},
      {"odd extents round down", {129, 17, 0, kByte, 1, 0}, 2, 192 * 32 + 64 * 8},
      {"a line", {4, 0, 0, kByte, 1, 0}, 3, 3 * 512},
      {"depth shrinks", {4, 4, 4, kByte, 1, 0}, 2, 4 * 512 + 2 * 512},
      {"layers do not", {4, 4, 4, kByte, 1, CUDA_ARRAY3D_LAYERED}, 2, 8 * 512},
      {"none", {8, 8, 0, kByte, 1, 0}, 0, 0},
      {"saturates", {kHuge, kHuge, 0, kByte, 1, 0}, 9, ~std::uint64_t{0}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(MipmappedBytes(c.descriptor, c.levels), c.want);
  }
}

}  // namespace
}  // namespace tessera
