#include "common/http/body.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

namespace tessera::http {
namespace {

/// A source that gives at most `step` bytes at a time and counts what was taken.
ByteSource From(const std::string& text, std::size_t step, std::size_t& taken) {
  return [&text, step, &taken](char* data, std::size_t size) {
    const std::size_t count = std::min({size, step, text.size() - taken});
    std::memcpy(data, text.data() + taken, count);
    taken += count;
    return static_cast<ssize_t>(count);
  };
}

struct Case {
  const char* name;
  std::multimap<std::string, std::string> headers;
  std::string input;
  int status;  // 0: read
  std::string body;
  std::size_t left = 0;  // input that must not be touched
};

TEST(ReadBody, FollowsTheFramingExactly) {
  const std::string big(100, 'x');
  const Case cases[] = {
      {"none announced", {}, "next", 0, "", 4},
      {"length", {{"content-length", "3"}}, "abcnext", 0, "abc", 4},
      {"empty", {{"content-length", "0"}}, "next", 0, "", 4},
      {"same length twice", {{"content-length", "3"}, {"content-length", "3"}}, "abc", 0, "abc"},
      {"at the limit", {{"content-length", "100"}}, big, 0, big},
      {"above the limit", {{"content-length", "101"}}, big + "x", 413, "", 101},
      {"length that overflows", {{"content-length", "99999999999999999999"}}, "", 400, ""},
      {"length with a sign", {{"content-length", "+3"}}, "abc", 400, "", 3},
      {"length with a space", {{"content-length", "3 "}}, "abc", 400, "", 3},
      {"no length", {{"content-length", ""}}, "abc", 400, "", 3},
      {"ends early", {{"content-length", "5"}}, "abc", 400, ""},
      {"chunks",
       {{"transfer-encoding", "chunked"}},
       "2\r\nab\r\n1\r\nc\r\n0\r\n\r\nnext",
       0,
       "abc",
       4},
      {"hex chunk",
       {{"transfer-encoding", "chunked"}},
       "A\r\n0123456789\r\n0\r\n\r\n",
       0,
       "0123456789"},
      {"extension", {{"transfer-encoding", "chunked"}}, "1;a=b\r\nc\r\n0\r\n\r\n", 0, "c"},
      {"trailer", {{"transfer-encoding", "chunked"}}, "0\r\nA: b\r\n\r\n", 0, ""},
      {"endless trailer",
       {{"transfer-encoding", "chunked"}},
       "0\r\n" + std::string(10000, 'x'),
       400,
       "",
       1807},
      {"chunks above the limit",
       {{"transfer-encoding", "chunked"}},
       "40\r\n" + std::string(64, 'x') + "\r\n40\r\n",
       413,
       ""},
      {"chunk size overflows",
       {{"transfer-encoding", "chunked"}},
       "ffffffffffffffffff\r\n",
       400,
       ""},
      {"huge chunk", {{"transfer-encoding", "chunked"}}, "ffffffffffffffff\r\n", 413, ""},
      {"no chunk size", {{"transfer-encoding", "chunked"}}, "\r\n", 400, ""},
      {"bare newline", {{"transfer-encoding", "chunked"}}, "0\n\n", 400, "", 1},
      {"chunk too long", {{"transfer-encoding", "chunked"}}, "1\r\nabc\r\n", 400, "", 0},
      {"chunks end early", {{"transfer-encoding", "chunked"}}, "3\r\nab", 400, ""},
      {"both", {{"transfer-encoding", "chunked"}, {"content-length", "1"}}, "a", 400, "", 1},
      {"two codings",
       {{"transfer-encoding", "chunked"}, {"transfer-encoding", "chunked"}},
       "",
       501,
       ""},
      {"compressed", {{"content-encoding", "gzip"}, {"content-length", "1"}}, "a", 415, "", 1},
      {"identity", {{"content-encoding", "identity"}, {"content-length", "1"}}, "a", 0, "a"},
  };
  for (const Case& c : cases) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}}) {
      SCOPED_TRACE(std::string(c.name) + " by " + std::to_string(step));
      std::size_t taken = 0;
      const auto body = ReadBody(c.headers, 100, From(c.input, step, taken));
      EXPECT_EQ(body ? 0 : body.error().status, c.status);
      EXPECT_EQ(body.value_or(c.body), c.body);
      if (c.status == 0 || c.left > 0) {
        EXPECT_EQ(c.input.size() - taken, c.left);
      }
    }
  }
}

}  // namespace
}  // namespace tessera::http
