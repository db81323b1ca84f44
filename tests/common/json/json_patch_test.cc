#include "common/json/json_patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"

namespace tessera::json {
namespace {

using testing::HasSubstr;

rapidjson::Document Read(const std::string& text) { return Parse(text).value(); }

struct Case {
  const char* name;
  std::string before;
  std::string patch;
  std::string after;  // empty: an error
  std::string error = {};
};

// Most are the examples of RFC 6902, appendix A.
TEST(ApplyPatch, FollowsTheStandard) {
  const Case cases[] = {
      {"add member", R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])",
       R"({"foo":"bar","baz":"qux"})"},
      {"add element", R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"qux"}])",
       R"({"foo":["bar","qux","baz"]})"},
      {"add first", "[1,2]", R"([{"op":"add","path":"/0","value":0}])", "[0,1,2]"},
      {"add at the end by index", "[1,2]", R"([{"op":"add","path":"/2","value":3}])", "[1,2,3]"},
      {"add at the end", R"({"a":[1]})", R"([{"op":"add","path":"/a/-","value":[2]}])",
       R"({"a":[1,[2]]})"},
      {"add replaces", R"({"a":1})", R"([{"op":"add","path":"/a","value":null}])", R"({"a":null})"},
      {"add whole", R"({"a":1})", R"([{"op":"add","path":"","value":[1]}])", "[1]"},
      {"add to the empty name", "{}", R"([{"op":"add","path":"/","value":1}])", R"({"":1})"},
      {"remove member", R"({"baz":"qux","foo":"bar","x":1})", R"([{"op":"remove","path":"/foo"}])",
       R"({"baz":"qux","x":1})"},
      {"remove element", R"({"foo":["bar","qux","baz"]})", R"([{"op":"remove","path":"/foo/1"}])",
       R"({"foo":["bar","baz"]})"},
      {"replace", R"({"baz":"qux","foo":"bar"})",
       R"([{"op":"replace","path":"/baz","value":"boo"}])", R"({"baz":"boo","foo":"bar"})"},
      {"replace whole", "1", R"([{"op":"replace","path":"","value":{"a":2}}])", R"({"a":2})"},
      {"move member", R"({"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}})",
       R"([{"op":"move","from":"/foo/waldo","path":"/qux/thud"}])",
       R"({"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}})"},
      {"move element", R"({"foo":["all","grass","cows","eat"]})",
       R"([{"op":"move","from":"/foo/1","path":"/foo/3"}])",
       R"({"foo":["all","cows","eat","grass"]})"},
      {"move onto itself", R"({"a":1})", R"([{"op":"move","from":"/a","path":"/a"}])",
       R"({"a":1})"},
      {"copy", R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/c"}])",
       R"({"a":{"b":1},"c":{"b":1}})"},
      {"copy into itself", R"({"a":{"b":1}})", R"([{"op":"copy","from":"/a","path":"/a/c"}])",
       R"({"a":{"b":1,"c":{"b":1}}})"},
      {"test", R"({"baz":"qux","foo":["a",2,"c"]})",
       R"([{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}])",
       R"({"baz":"qux","foo":["a",2,"c"]})"},
      {"test is by value", R"({"a":{"x":1,"y":2.0}})",
       R"([{"op":"test","path":"/a","value":{"y":2,"x":1.0}}])", R"({"a":{"x":1,"y":2.0}})"},
      {"test null", R"({"a":null})", R"([{"op":"test","path":"/a","value":null}])",
       R"({"a":null})"},
      {"escapes", R"({"a/b":1,"m~n":2})",
       R"([{"op":"remove","path":"/a~1b"},{"op":"replace","path":"/m~0n","value":3}])",
       R"({"m~n":3})"},
      {"~01 is ~1", R"({"~1":10})", R"([{"op":"test","path":"/~01","value":10}])", R"({"~1":10})"},
      {"unknown members are ignored", R"({})", R"([{"op":"add","path":"/a","value":1,"xyz":123}])",
       R"({"a":1})"},
      {"nothing", R"({"a":1})", "[]", R"({"a":1})"},
      {"later operations see earlier ones", "{}",
       R"([{"op":"add","path":"/a","value":{}},{"op":"add","path":"/a/b","value":1}])",
       R"({"a":{"b":1}})"},

      {"failed test", R"({"baz":"qux"})", R"([{"op":"test","path":"/baz","value":"bar"}])", "",
       "patch[0] (test /baz): the value is \"qux\""},
      {"number is no string", R"({"/":9})", R"([{"op":"test","path":"/~1","value":"9"}])", "",
       "the value is 9"},
      {"parent missing", R"({"foo":"bar"})", R"([{"op":"add","path":"/baz/bat","value":"qux"}])",
       "", "\"baz\" does not exist"},
      {"remove missing", "{}", R"([{"op":"remove","path":"/a"}])", "", "\"a\" does not exist"},
      {"replace missing", "{}", R"([{"op":"replace","path":"/a","value":1}])", "",
       "does not exist"},
      {"move missing", "{}", R"([{"op":"move","from":"/a","path":"/b"}])", "",
       "\"a\" does not exist"},
      {"move into itself", R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b"}])", "",
       "into itself"},
      {"index beyond the end", "[1]", R"([{"op":"add","path":"/2","value":1}])", "",
       "not an index"},
      {"index with a zero", "[1,2]", R"([{"op":"remove","path":"/01"}])", "", "does not exist"},
      {"negative index", "[1]", R"([{"op":"add","path":"/-1","value":1}])", "", "not an index"},
      {"end of array removed", "[1]", R"([{"op":"remove","path":"/-"}])", "", "does not exist"},
      {"huge index", "[1]", R"([{"op":"add","path":"/99999999999999999999","value":1}])", "",
       "not an index"},
      {"into a scalar", R"({"a":1})", R"([{"op":"add","path":"/a/b","value":1}])", "",
       "neither an object nor an array"},
      {"no slash", "{}", R"([{"op":"add","path":"a","value":1}])", "", "must begin with /"},
      {"bad escape", "{}", R"([{"op":"add","path":"/~2","value":1}])", "", "neither ~0 nor ~1"},
      {"tilde at the end", "{}", R"([{"op":"add","path":"/~","value":1}])", "",
       "neither ~0 nor ~1"},
      {"unknown op", "{}", R"([{"op":"spam","path":"/a"}])", "", "op \"spam\" is unknown"},
      {"no op", "{}", R"([{"path":"/a"}])", "", "patch[0]: op is missing"},
      {"no path", "{}", R"([{"op":"remove"}])", "", "path is missing"},
      {"no value", "{}", R"([{"op":"add","path":"/a"}])", "", "value is missing"},
      {"no from", "{}", R"([{"op":"copy","path":"/a"}])", "", "from is missing"},
      {"not an array", "{}", R"({"op":"add"})", "", "must be an array"},
      {"not an operation", "{}", "[1]", "", "op is missing"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    rapidjson::Document document = Read(c.before);
    const auto done = ApplyPatch(document, Read(c.patch));
    EXPECT_EQ(done.has_value(), !c.after.empty());
    if (done) {
      EXPECT_EQ(Dump(document), c.after);
    } else {
      EXPECT_THAT(done.error().message, HasSubstr(c.error));
      EXPECT_EQ(Dump(document), c.before) << "an error changes nothing";
    }
  }
}

TEST(ApplyPatch, IsAllOrNothing) {
  rapidjson::Document document = Read(R"({"a":1})");
  const auto done = ApplyPatch(
      document, Read(R"([{"op":"remove","path":"/a"},{"op":"test","path":"","value":{"a":1}}])"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::kConflict);
  EXPECT_EQ(Dump(document), R"({"a":1})");
}

TEST(ApplyPatch, CopiesCannotGrowADocumentWithoutBound) {
  std::string patch;
  for (int i = 0; i < 64; ++i) {
    patch += (i == 0 ? "" : ",") + std::string(R"({"op":"copy","from":"","path":"/a)") +
             std::to_string(i) + "\"}";
  }
  rapidjson::Document document = Read(R"({"x":1})");
  const auto done = ApplyPatch(document, Read("[" + patch + "]"));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("grows too large"));
  EXPECT_EQ(Dump(document), R"({"x":1})");
}

TEST(ApplyPatch, TheResultOwnsItsText) {
  rapidjson::Document document = Read("{}");
  {
    const rapidjson::Document patch = Read(
        R"([{"op":"add","path":"/a-name-that-is-not-short","value":"a text that is not short at all"}])");
    ASSERT_TRUE(ApplyPatch(document, patch));
  }
  EXPECT_EQ(Dump(document), R"({"a-name-that-is-not-short":"a text that is not short at all"})");
}

// The examples of RFC 7396, appendix A.
TEST(ApplyMergePatch, FollowsTheStandard) {
  const Case cases[] = {
      {"replace", R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {"add", R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {"delete", R"({"a":"b"})", R"({"a":null})", R"({})"},
      {"delete one", R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {"array by text", R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {"text by array", R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {"deep", R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {"arrays replace", R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {"whole", R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {"object by array", R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {"null", R"({"a":"foo"})", "null", "null"},
      {"null stays", R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {"array by object", "[1,2]", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {"nulls inside new objects", "{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    rapidjson::Document document = Read(c.before);
    ApplyMergePatch(document, Read(c.patch));
    EXPECT_EQ(Dump(document), c.after);
  }
}

}  // namespace
}  // namespace tessera::json
