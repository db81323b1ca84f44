#include "common/base/log.h"

#include <gtest/gtest.h>

namespace tessera::log {
namespace {

TEST(FormatLine, WritesTextAndJson) {
  const Fields fields = {{"pod", "a/b"}, {"gpus", 2}, {"ratio", 0.5}, {"ok", true}};
  EXPECT_EQ(FormatLine(Format::kText, "pod bound", fields),
            R"("pod bound" pod="a/b" gpus=2 ratio=0.500000 ok=true)");
  EXPECT_EQ(FormatLine(Format::kJson, "pod bound", fields),
            R"("msg":"pod bound","pod":"a/b","gpus":2,"ratio":0.500000,"ok":true)");
  EXPECT_EQ(FormatLine(Format::kText, "ready", {}), R"("ready")");
}

TEST(FormatLine, AValueCannotForgeALineOrAField) {
  const std::string hostile("x\" level=\"error\n{\"a\":1}\\\t\x01", 26);
  EXPECT_EQ(FormatLine(Format::kText, "m", {{"k", hostile}}),
            R"("m" k="x\" level=\"error\n{\"a\":1}\\\u0009\u0001")");
  EXPECT_EQ(FormatLine(Format::kJson, "m", {{"k", hostile}}),
            R"("msg":"m","k":"x\" level=\"error\n{\"a\":1}\\\u0009\u0001")");
}

}  // namespace
}  // namespace tessera::log
