#include "common/json/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::json {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(Parse, SaysWhereAndWhyATextIsNotJson) {
  struct Case {
    std::string text;
    std::string error;
  };
  const Case cases[] = {
      {"", "not JSON at byte 0"},
      {"{", "not JSON at byte 1"},
      {"{} {}", "not JSON at byte 3"},
      {"nul", "not JSON at byte"},
      {"[1,]", "not JSON at byte"},
      {"\"\xff\"", "not JSON at byte"},
      {std::string("{\0}", 3), "not JSON at byte"},
      {std::string(kMaxDepth + 1, '['), "nested deeper than 64"},
      {std::string(1'000'000, '{'), "nested deeper than 64"},
      {"[0.00000000001e-2147483639]", "not JSON at byte 14: exponent is too long"},
      {"[1E+000000001]", "not JSON at byte 2: exponent is too long"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text.substr(0, 20));
    const auto parsed = Parse(c.text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr(c.error));
  }
}

TEST(Parse, BracketsInTextAreNotNesting) {
  EXPECT_TRUE(Parse("\"" + std::string(100, '[') + "\""));
  EXPECT_TRUE(Parse(R"("\"[[[[")"));
  EXPECT_TRUE(Parse(R"(["1e-2147483639",1e-99999999,true,false])"));
  EXPECT_TRUE(Parse(std::string(kMaxDepth, '[') + std::string(kMaxDepth, ']')));
}

TEST(Parse, KeepsNumbersExactly) {
  const auto parsed = Parse("[9223372036854775807,-9223372036854775808,0.1,1e400]");
  EXPECT_FALSE(parsed) << "a number out of range is refused";
  const auto good = Parse("[9223372036854775807,-9223372036854775808,0.1]");
  ASSERT_TRUE(good);
  EXPECT_EQ(Dump(*good), "[9223372036854775807,-9223372036854775808,0.1]");
}

class GetTest : public testing::Test {
 protected:
  const rapidjson::Document object_ =
      Parse(
          R"({"text":"a","int":7,"big":9223372036854775808,"real":1.5,"yes":true,"null":null,"o":{"x":{"y":1}},"a":[1]})")
          .value();
};

TEST_F(GetTest, ReadsMembersOfTheRightType) {
  EXPECT_EQ(GetString(object_, "text").value(), "a");
  EXPECT_EQ(GetInt(object_, "int").value(), 7);
  EXPECT_TRUE(GetBool(object_, "yes").value());
  EXPECT_TRUE(GetObject(object_, "o").value()->IsObject());
  EXPECT_EQ(GetArray(object_, "a").value()->Size(), 1U);
}

TEST_F(GetTest, ErrorsNameTheMember) {
  EXPECT_EQ(GetString(object_, "none").error().message, "none is missing");
  EXPECT_EQ(GetString(object_, "null").error().message, "null is missing");
  EXPECT_EQ(GetString(object_, "int").error().message, "int must be a string");
  EXPECT_EQ(GetInt(object_, "text").error().message, "text must be an integer");
  EXPECT_EQ(GetInt(object_, "real").error().message, "real must be an integer");
  EXPECT_EQ(GetInt(object_, "big").error().message, "big must be an integer");
  EXPECT_EQ(GetBool(object_, "int").error().message, "int must be true or false");
  EXPECT_EQ(GetObject(object_, "a").error().message, "a must be an object");
  EXPECT_EQ(GetArray(object_, "o").error().message, "o must be an array");
}

TEST_F(GetTest, FallbacksStandInForMissingButNotForWrong) {
  EXPECT_EQ(GetStringOr(object_, "none", "f").value(), "f");
  EXPECT_EQ(GetStringOr(object_, "null", "f").value(), "f");
  EXPECT_FALSE(GetStringOr(object_, "int", "f"));
  EXPECT_EQ(GetIntOr(object_, "none", 3).value(), 3);
  EXPECT_FALSE(GetIntOr(object_, "text", 3));
  EXPECT_TRUE(GetBoolOr(object_, "none", true).value());
  EXPECT_FALSE(GetBoolOr(object_, "text", true));
}

TEST_F(GetTest, FindNeverAsserts) {
  EXPECT_EQ(FindPath(object_, {"o", "x", "y"})->GetInt(), 1);
  EXPECT_EQ(FindPath(object_, {"o", "none", "y"}), nullptr);
  EXPECT_EQ(FindPath(object_, {"text", "x"}), nullptr);
  EXPECT_EQ(FindPath(object_, {"a", "0"}), nullptr);
  EXPECT_EQ(Find(*FindPath(object_, {"a"}), "x"), nullptr);
  EXPECT_EQ(FindPath(object_, {}), &object_);
}

TEST(Writer, EscapesTextAndTakesRawParts) {
  Writer out;
  out.StartObject();
  out.Key("a\"b");
  out.String(std::string_view("x\n\0y", 4));
  out.Key("raw");
  out.Raw("[1, 2]");
  out.Key("n");
  out.Null();
  out.EndObject();
  EXPECT_EQ(out.Take(), R"({"a\"b":"x\n\u0000y","raw":[1, 2],"n":null})");
}

}  // namespace
}  // namespace tessera::json
