#include "sim/admission/review.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "common/json/json.h"
#include "sim/admission/webhook_caller.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

TEST(BuildReview, IsWhatKubeApiserverSends) {
  const auto pod =
      json::Parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}})").value();
  const auto review = json::Parse(BuildReview(pod, "team", "r-1", false)).value();
  EXPECT_EQ(TextAt(review, {"apiVersion"}), "admission.k8s.io/v1");
  const auto& request = *json::Find(review, "request");
  EXPECT_EQ(TextAt(request, {"uid"}), "r-1");
  EXPECT_EQ(TextAt(request, {"name"}), "p");
  EXPECT_EQ(TextAt(request, {"namespace"}), "team");
  EXPECT_EQ(TextAt(request, {"operation"}), "CREATE");
  EXPECT_EQ(TextAt(request, {"resource", "resource"}), "pods");
  EXPECT_EQ(TextAt(request, {"object", "metadata", "name"}), "p");
  EXPECT_FALSE(json::Find(request, "dryRun")->GetBool());
}

TEST(BuildReview, APodOfAControllerHasNoNameYet) {
  const auto pod = json::Parse(R"({"metadata":{"generateName":"p-"}})").value();
  const auto review = json::Parse(BuildReview(pod, "team", "r-1", true)).value();
  EXPECT_EQ(json::FindPath(review, {"request", "name"}), nullptr);
  EXPECT_TRUE(json::FindPath(review, {"request", "dryRun"})->GetBool());
}

std::string Answer(const std::string& response) {
  return R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":)" + response +
         "}";
}

TEST(ReadReview, ReadsAPatch) {
  const auto answer =
      ReadReview(Answer(R"({"uid":"r","allowed":true,"patchType":"JSONPatch","patch":")" +
                        base64::Encode("[1]") + R"("})"),
                 "r");
  EXPECT_TRUE(answer->allowed);
  EXPECT_EQ(answer->json_patch, "[1]");
  EXPECT_EQ(ReadReview(Answer(R"({"uid":"r","allowed":true})"), "r")->json_patch, "");
}

TEST(ReadReview, ReadsARefusal) {
  const auto answer = ReadReview(
      Answer(R"({"uid":"r","allowed":false,"status":{"code":422,"message":"gpu-memory: no"}})"),
      "r");
  EXPECT_FALSE(answer->allowed);
  EXPECT_EQ(answer->code, 422);
  EXPECT_EQ(answer->message, "gpu-memory: no");
  EXPECT_EQ(ReadReview(Answer(R"({"uid":"r","allowed":false})"), "r")->code, 403);
}

TEST(ReadReview, WhatKubeApiserverWouldNotAcceptIsAnError) {
  struct Case {
    std::string text;
    const char* want;
  };
  for (const Case& c : {
           Case{"nonsense", "not JSON"},
           Case{R"({"kind":"AdmissionReview","response":{"uid":"r","allowed":true}})",
                "AdmissionReview"},
           Case{Answer("null"), "response is missing"},
           Case{Answer(R"({"allowed":true})"), "uid is missing"},
           Case{Answer(R"({"uid":"other","allowed":true})"), "uid"},
           Case{Answer(R"({"uid":"r"})"), "allowed is missing"},
           Case{Answer(R"({"uid":"r","allowed":true,"patch":"W10="})"), "patchType"},
           Case{Answer(R"({"uid":"r","allowed":true,"patchType":"MergePatch","patch":"W10="})"),
                "patchType"},
           Case{Answer(R"({"uid":"r","allowed":true,"patchType":"JSONPatch","patch":"*"})"),
                "base64"},
       }) {
    SCOPED_TRACE(c.text);
    const auto answer = ReadReview(c.text, "r");
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().message, HasSubstr(c.want));
  }
}

TEST(SplitUrl, AddsTheTimeoutAsKubeApiserverDoes) {
  struct Case {
    const char* url;
    const char* base;
    const char* target;
  };
  for (const Case& c : {
           Case{"https://127.0.0.1:84/mutate", "https://127.0.0.1:84", "/mutate?timeout=5s"},
           Case{"https://host/a/b", "https://host", "/a/b?timeout=5s"},
           Case{"https://host", "https://host", "/?timeout=5s"},
       }) {
    const auto split = SplitUrl(c.url, std::chrono::seconds(5));
    EXPECT_EQ(split.base_url, c.base);
    EXPECT_EQ(split.target, c.target);
  }
}

}  // namespace
}  // namespace tessera::sim
