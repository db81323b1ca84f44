#include "interceptor/array_size.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

constexpr std::size_t kHuge = std::size_t{1} << 40;

TEST(ArraySize, CountsElements) {
  struct Case {
    const char* name;
    CUDA_ARRAY3D_DESCRIPTOR descriptor;
    std::uint64_t want;
  };
  const Case cases[] = {
      {"line", {100, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0}, 100},
      {"plane", {100, 10, 0, CU_AD_FORMAT_SIGNED_INT16, 2, 0}, 4000},
      {"half", {100, 10, 0, CU_AD_FORMAT_HALF, 4, 0}, 8000},
      {"solid", {10, 10, 10, CU_AD_FORMAT_FLOAT, 4, 0}, 16000},
      {"cube faces", {8, 8, 6, CU_AD_FORMAT_UNSIGNED_INT32, 1, CUDA_ARRAY3D_CUBEMAP}, 1536},
      {"layers of lines", {8, 0, 5, CU_AD_FORMAT_UNSIGNED_INT8, 1, CUDA_ARRAY3D_LAYERED}, 40},
      {"unknown format", {10, 0, 0, static_cast<CUarray_format>(0x30), 4, 0}, 160},
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
      {"one level", {8, 8, 0, kByte, 1, 0}, 1, 64},
      {"three levels", {8, 8, 0, kByte, 1, 0}, 3, 64 + 16 + 4},
      {"down to one", {8, 8, 0, kByte, 1, 0}, 4, 64 + 16 + 4 + 1},
      {"no more than there are", {8, 8, 0, kByte, 1, 0}, 4'000'000'000, 64 + 16 + 4 + 1},
      {"odd extents round down", {5, 3, 0, kByte, 1, 0}, 2, 15 + 2},
      {"a line", {4, 0, 0, kByte, 1, 0}, 3, 4 + 2 + 1},
      {"depth shrinks", {4, 4, 4, kByte, 1, 0}, 2, 64 + 8},
      {"layers do not", {4, 4, 4, kByte, 1, CUDA_ARRAY3D_LAYERED}, 2, 64 + 16},
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
