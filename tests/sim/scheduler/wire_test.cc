#include "sim/scheduler/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"

namespace tessera::sim::wire {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

TEST(EncodeExtenderArgs, IsWhatKubeSchedulerSends) {
  const auto pod =
      json::Parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{}})").value();
  EXPECT_EQ(EncodeExtenderArgs(pod, {"n1", "n2"}),
            R"({"Pod":{"metadata":{"name":"p"},"spec":{}},"Nodes":null,"NodeNames":["n1","n2"]})");
}

TEST(EncodeBindingArgs, IsWhatKubeSchedulerSends) {
  EXPECT_EQ(EncodeBindingArgs({"p", "ns", "u1", "n1"}),
            R"({"PodName":"p","PodNamespace":"ns","PodUID":"u1","Node":"n1"})");
}

TEST(DecodeFilterResult, ReadsNodesAndReasons) {
  const auto answer =
      DecodeFilterResult(R"({"Nodes":null,"NodeNames":["n1"],"FailedNodes":{"n2":"full"},
      "FailedAndUnresolvableNodes":{"n3":"no GPU"},"Error":""})")
          .value();
  EXPECT_THAT(answer.nodes, ElementsAre("n1"));
  EXPECT_THAT(answer.failed, ElementsAre(Pair("n2", "full")));
  EXPECT_THAT(answer.unresolvable, ElementsAre(Pair("n3", "no GPU")));
  EXPECT_THAT(DecodeFilterResult(R"({"NodeNames":null})")->nodes, IsEmpty());
}

TEST(DecodeFilterResult, AnErrorInTheBodyIsAnError) {
  const auto answer = DecodeFilterResult(R"({"NodeNames":["n1"],"Error":"cache not synced"})");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().message, "cache not synced");
}

TEST(Decode, WrongShapesNameTheField) {
  struct Case {
    std::string error;
    const char* want;
  };
  const auto filter = [](const char* text) { return DecodeFilterResult(text).error().message; };
  const auto priorities = [](const char* text) {
    return DecodeHostPriorities(text).error().message;
  };
  for (const Case& c : {
           Case{filter("nonsense"), "not JSON"},
           Case{filter(R"({"NodeNames":"n1"})"), "NodeNames"},
           Case{filter(R"({"NodeNames":[1]})"), "NodeNames"},
           Case{filter(R"({"FailedNodes":[]})"), "FailedNodes"},
           Case{filter(R"({"FailedNodes":{"n":1}})"), "FailedNodes"},
           Case{filter(R"({"Error":7})"), "Error"},
           Case{priorities("{}"), "array"},
           Case{priorities(R"([{"Host":"n"}])"), "Score"},
           Case{priorities(R"([{"Score":1}])"), "Host"},
           Case{DecodeBindingResult("[").error().message, "not JSON"},
       }) {
    EXPECT_THAT(c.error, HasSubstr(c.want));
  }
}

TEST(DecodeHostPriorities, ReadsABareArray) {
  EXPECT_THAT(DecodeHostPriorities(R"([{"Host":"a","Score":7},{"Host":"b","Score":-1}])").value(),
              ElementsAre(Pair("a", 7), Pair("b", -1)));
}

TEST(DecodeBindingResult, EmptyErrorIsSuccess) {
  EXPECT_TRUE(DecodeBindingResult(R"({"Error":""})"));
  EXPECT_TRUE(DecodeBindingResult("{}"));
  EXPECT_EQ(DecodeBindingResult(R"({"Error":"conflict"})").error().message, "conflict");
}

}  // namespace
}  // namespace tessera::sim::wire
