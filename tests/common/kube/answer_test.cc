#include "common/kube/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "common/kube/object.h"

namespace tessera::kube {
namespace {

TEST(AnswerError, QuotesAStatusOrTheBeginningOfAnythingElse) {
  struct Case {
    int status;
    std::string body;
    Errc code;
    std::string message;
  };
  const Case cases[] = {
      {404, R"({"reason":"NotFound","message":"no x"})", Errc::kNotFound,
       "GET /x: 404 NotFound: no x"},
      {409, R"({"message":"m"})", Errc::kConflict, "GET /x: 409 m"},
      {409, R"({"reason":"AlreadyExists"})", Errc::kConflict, "GET /x: 409 AlreadyExists"},
      {502, "bad gateway\n", Errc::kUnavailable, "GET /x: 502 bad gateway"},
      {500, "", Errc::kUnavailable, "GET /x: 500"},
      {400, "[1]", Errc::kInvalidArgument, "GET /x: 400 [1]"},
      {400, R"({"message":7})", Errc::kInvalidArgument, R"(GET /x: 400 {"message":7})"},
      {422, std::string(1000, 'x'), Errc::kInvalidArgument, "GET /x: 422 " + std::string(300, 'x')},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.body.substr(0, 40));
    const Error error = AnswerError("GET /x", c.status, c.body);
    EXPECT_EQ(error.code, c.code);
    EXPECT_EQ(error.message, c.message);
  }
}

TEST(LineSplitter, CutsHoweverTheBytesCome) {
  const std::string text = "one\ntwo\n\nthree\nfo";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    LineSplitter splitter(5);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < text.size(); i += step) {
      EXPECT_TRUE(splitter.Feed(std::string_view(text).substr(i, step),
                                [&](std::string_view line) { lines.emplace_back(line); }));
    }
    EXPECT_THAT(lines, testing::ElementsAre("one", "two", "three")) << step;
    EXPECT_TRUE(splitter.partial());
  }
}

TEST(LineSplitter, RefusesALineBeyondTheBound) {
  LineSplitter splitter(4);
  const auto ignore = [](std::string_view) {};
  EXPECT_TRUE(splitter.Feed("abcd", ignore));
  EXPECT_FALSE(splitter.Feed("e", ignore));
  LineSplitter another(4);
  EXPECT_FALSE(another.Feed("abcde\n", ignore));
}

TEST(ParseWatchEvent, GivesTheObjectOrSaysWhatIsMissing) {
  const auto event = ParseWatchEvent(R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->type, "ADDED");
  EXPECT_EQ(Name(event->object), "a");
  EXPECT_EQ(ParseWatchEvent(R"({"object":{}})").error().message, "type is missing");
  EXPECT_EQ(ParseWatchEvent(R"({"type":"ADDED","object":1})").error().message,
            "object must be an object");
  EXPECT_EQ(ParseWatchEvent(R"({"type":"ERROR","object":{"code":410}})").error().code, Errc::kGone);
  EXPECT_EQ(ParseWatchEvent(R"({"type":"ERROR","object":{"code":"x"}})").error().code,
            Errc::kUnavailable);
}

TEST(AddQuery, EncodesTheValue) {
  EXPECT_EQ(AddQuery("/a", "x", "1"), "/a?x=1");
  EXPECT_EQ(AddQuery("/a?b=c", "x", "a=b,c d/é"), "/a?b=c&x=a%3Db%2Cc%20d%2F%C3%A9");
}

TEST(Object, ReadsWhatIsMissingOrMistypedAsEmpty) {
  for (const char* text : {"{}", "[]", "1", R"({"metadata":null})", R"({"metadata":{"name":1}})"}) {
    SCOPED_TRACE(text);
    const auto object = json::Parse(text).value();
    EXPECT_EQ(Key(object), "");
    EXPECT_EQ(Uid(object), "");
  }
  const auto pod = json::Parse(R"({"metadata":{"name":"p","namespace":"n","uid":"u"}})").value();
  EXPECT_EQ(Key(pod), "n/p");
  EXPECT_EQ(Uid(pod), "u");
}

}  // namespace
}  // namespace tessera::kube
