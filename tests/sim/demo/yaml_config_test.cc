#include "sim/demo/yaml_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(YamlToJson, TypesScalarsAsKubectlDoes) {
  struct Case {
    const char* yaml;
    const char* want;
  };
  for (const Case& c : {
           Case{"v: 12", "12"},
           Case{"v: -3", "-3"},
           Case{"v: \"12\"", "\"12\""},
           Case{"v: '12'", "\"12\""},
           Case{"v: 1.5", "1.5"},
           Case{"v: 1e3", "1000.0"},
           Case{"v: 3000Mi", "\"3000Mi\""},
           Case{"v: 25%", "\"25%\""},
           Case{"v: 0.1.0", "\"0.1.0\""},
           Case{"v: true", "true"},
           Case{"v: \"true\"", "\"true\""},
           Case{"v: off", "false"},
           Case{"v: null", "null"},
           Case{"v: ~", "null"},
           Case{"v:", "null"},
           Case{"v: \"\"", "\"\""},
           Case{"v: text", "\"text\""},
           Case{"v: [1, a, {b: c}]", R"([1,"a",{"b":"c"}])"},
           Case{"v: nan", "\"nan\""},
           Case{"v: 99999999999999999999", "1e20"},
           Case{"v: |\n  a\n  b\n", "\"a\\nb\\n\""},
       }) {
    SCOPED_TRACE(c.yaml);
    const auto json = YamlToJson(c.yaml);
    ASSERT_TRUE(json) << json.error().message;
    const std::string want = std::string("{\"v\":") + c.want + "}";
    if (std::string(c.yaml) == "v: 1e3") {
      EXPECT_THAT(json->front(), testing::AnyOf(want, "{\"v\":1000}", "{\"v\":1e+03}"));
    } else if (std::string(c.yaml).find("9999") != std::string::npos) {
      EXPECT_THAT(json->front(), HasSubstr("1e+20"));
    } else {
      EXPECT_EQ(json->front(), want);
    }
  }
}

TEST(YamlToJson, KeysAreTextsWhateverTheyLookLike) {
  EXPECT_EQ(YamlToJson("tessera.dev/gpu: 1\n12: x\ntrue: y")->front(),
            R"({"tessera.dev/gpu":1,"12":"x","true":"y"})");
}

TEST(YamlToJson, ReadsSeveralDocuments) {
  EXPECT_THAT(YamlToJson("# nothing\n---\na: 1\n---\n---\nb: 2\n").value(),
              ElementsAre("{\"a\":1}", "{\"b\":2}"));
  EXPECT_THAT(YamlToJson("").value(), IsEmpty());
  EXPECT_THAT(YamlToJson("# only a comment\n").value(), IsEmpty());
}

TEST(YamlToJson, ErrorsNameTheLine) {
  const auto broken = YamlToJson("a: 1\nb: [1, 2\n");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("line "));
  EXPECT_FALSE(YamlToJson("? [a, b]\n: c\n"));
}

TEST(YamlToJson, DeepNestingIsRefused) {
  EXPECT_FALSE(YamlToJson(std::string(200, '[') + std::string(200, ']')));
}

}  // namespace
}  // namespace tessera::sim
