#include "common/base/result.h"

#include <memory>

#include <gtest/gtest.h>

namespace tessera {
namespace {

Result<std::unique_ptr<int>> Make(int value) {
  if (value < 0) return Fail(Errc::kInvalidArgument, "value must not be negative");
  return std::make_unique<int>(value);
}

Result<int> Sum(int a, int b) {
  TESSERA_TRY(const auto left, Make(a));
  TESSERA_TRY(const auto right, Make(b));
  return *left + *right;
}

TEST(Try, PassesValuesOnAndErrorsUp) {
  EXPECT_EQ(Sum(1, 2).value(), 3);
  EXPECT_EQ(Sum(1, -2).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(Sum(-1, 2).error().message, "value must not be negative");
}

TEST(Wrap, PutsTheContextInFront) {
  const Result<void> wrapped = Wrap({Errc::kConflict, "already bound"}, "pod a/b");
  EXPECT_EQ(wrapped.error().code, Errc::kConflict);
  EXPECT_EQ(wrapped.error().message, "pod a/b: already bound");
}

}  // namespace
}  // namespace tessera
