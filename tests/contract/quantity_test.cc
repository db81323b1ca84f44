#include "common/contract/quantity.h"

#include <gtest/gtest.h>

namespace tessera::contract {
namespace {

struct Case {
  const char* text;
  std::int64_t want;  // -1: refused
};

TEST(ParseWhole, ReadsEveryFormOfAWholeNumberAndNothingElse) {
  const Case cases[] = {
      {"0", 0},
      {"3", 3},
      {"+3", 3},
      {"007", 7},
      {"3.", 3},
      {"3.0", 3},
      {"3k", 3000},
      {"3M", 3000000},
      {"2G", 2000000000},
      {"1Ki", 1024},
      {"2Gi", 1LL << 31},
      {"1.5Ki", 1536},
      {"3000m", 3},
      {"3e3", 3000},
      {"3E3", 3000},
      {"3e+3", 3000},
      {"3000e-3", 3},
      {"1E", 1000000000000000000},
      {"7Ei", 7LL << 60},
      {"9223372036854775807", INT64_MAX},
      {".5k", 500},
      {"1000000000n", 1},
      {"", -1},
      {"-3", -1},
      {"3 apples", -1},
      {"0.5", -1},
      {"500m", -1},
      {"1e-1", -1},
      {"e3", -1},
      {".", -1},
      {"1.2.3", -1},
      {"3kk", -1},
      {"0x10", -1},
      {"3K", -1},
      {"3ki", -1},
      {"3e", -1},
      {"3e1e1", -1},
      {" 3", -1},
      {"3 ", -1},
      {"9223372036854775808", -1},
      {"8Ei", -1},
      {"1e60", -1},
      {"1e99999999999", -1},
      {"340282366920938463463374607431768211456", -1},
      {"NaN", -1},
      {"inf", -1},
      {"\xff", -1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto got = ParseWhole(c.text);
    EXPECT_EQ(got.value_or(-1), c.want);
    if (!got) {
      EXPECT_NE(got.error().message.find('"'), std::string::npos) << "the error quotes the text";
    }
  }
}

TEST(ParseWhole, RefusesEndlessText) {
  EXPECT_FALSE(ParseWhole(std::string(100000, '1')));
  EXPECT_FALSE(ParseWhole(std::string(100000, '0')));
}

TEST(ParseBytesAsMib, RoundsUpToWholeMib) {
  const Case cases[] = {
      {"3000Mi", 3000},     {"1Mi", 1},      {"1.5Mi", 2},    {"3Gi", 3072},
      {"1Ti", 1 << 20},     {"3000M", 2862}, {"1048576", 1},  {"1048577", 2},
      {"3221225472", 3072}, {"3e9", 2862},   {"1048575", -1}, {"3000", -1},
      {"3000m", -1},        {"0", -1},       {"-1Gi", -1},    {"3000MiB", -1},
      {"3000 Mi", -1},      {"3000mib", -1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(ParseBytesAsMib(c.text).value_or(-1), c.want);
  }
}

TEST(ParseMemoryCount, CountsUnitsAndRefusesSuffixesOfBytes) {
  EXPECT_EQ(ParseMemoryCount("3000", "MiB").value_or(-1), 3000);
  EXPECT_EQ(ParseMemoryCount("3k", "MiB").value_or(-1), 3000) << "how the API server writes 3000";
  const auto gi = ParseMemoryCount("2Gi", "MiB");
  ASSERT_FALSE(gi);
  EXPECT_EQ(gi.error().message,
            "\"2Gi\" has a suffix of bytes, but the resource counts MiB: write the plain number");
}

}  // namespace
}  // namespace tessera::contract
