#include "webhook/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "common/json/json.h"

namespace tessera::webhook {
namespace {

using ::testing::HasSubstr;

/// A review around `request_members`, which begin with a comma or are empty.
std::string ReviewWith(const std::string& request_members) {
  return R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1")" +
         request_members + "}}";
}

std::string Creation(const std::string& object) {
  return ReviewWith(
      R"(,"operation":"CREATE","kind":{"group":"","kind":"Pod"},"namespace":"ns","object":)" +
      object);
}

std::string Container(const std::string& members) {
  return Creation(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"a")" + members +
                  "}]}}");
}

TEST(ParseReview, NamesTheFieldOfEveryMalformedReview) {
  const struct {
    const char* name;
    std::string text;
    const char* uid;
    const char* want;
  } cases[] = {
      {"empty", "", "", "not JSON"},
      {"cut", R"({"request":{"uid":"u1")", "", "not JSON"},
      {"an array", "[]", "", "the body must be an object"},
      {"a number", "7", "", "the body must be an object"},
      {"no request", R"({"apiVersion":"admission.k8s.io/v1"})", "", "request is missing"},
      {"request is text", R"({"request":"x"})", "", "request must be an object"},
      {"no uid", R"({"request":{}})", "", "request.uid is missing"},
      {"uid is a number", R"({"request":{"uid":1}})", "", "request.uid must be a string"},
      {"uid is empty", R"({"request":{"uid":""}})", "", "request.uid is empty"},
      {"no apiVersion", R"({"request":{"uid":"u1"}})", "u1", "apiVersion is missing"},
      {"old version",
       R"({"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"u1"}})",
       "u1", "apiVersion must be admission.k8s.io/v1"},
      {"other kind", R"({"apiVersion":"admission.k8s.io/v1","kind":"Pod","request":{"uid":"u1"}})",
       "u1", "kind must be AdmissionReview"},
      {"no operation", ReviewWith(""), "u1", "request.operation is missing"},
      {"no kind", ReviewWith(R"(,"operation":"CREATE")"), "u1", "request.kind is missing"},
      {"object is null", Creation("null"), "u1", "request.object is missing"},
      {"object is text", Creation("\"pod\""), "u1", "request.object must be an object"},
      {"no metadata", Creation(R"({"spec":{"containers":[]}})"), "u1",
       "request.object.metadata is missing"},
      {"annotation is a number",
       Creation(R"({"metadata":{"annotations":{"a":1}},"spec":{"containers":[]}})"), "u1",
       "request.object.metadata.annotations.a must be a string"},
      {"labels are a list", Creation(R"({"metadata":{"labels":[]},"spec":{"containers":[]}})"),
       "u1", "request.object.metadata.labels must be an object"},
      {"no spec", Creation(R"({"metadata":{}})"), "u1", "request.object.spec is missing"},
      {"containers is an object", Creation(R"({"metadata":{},"spec":{"containers":{}}})"), "u1",
       "request.object.spec.containers must be an array"},
      {"container is text", Creation(R"({"metadata":{},"spec":{"containers":["a"]}})"), "u1",
       "request.object.spec.containers[0].name is missing"},
      {"env name is a number", Container(R"(,"env":[{"name":"A"},{"name":2}])"), "u1",
       "request.object.spec.containers[0].env[1].name must be a string"},
      {"mount without path", Container(R"(,"volumeMounts":[{"name":"v"}])"), "u1",
       "request.object.spec.containers[0].volumeMounts[0].mountPath is missing"},
      {"quantity is a list", Container(R"(,"resources":{"limits":{"cpu":[]}})"), "u1",
       "request.object.spec.containers[0].limits.cpu must be a quantity"},
      {"command is a number", Container(R"(,"command":[1])"), "u1",
       "request.object.spec.containers[0].command must be an array of strings"},
      {"privileged is text", Container(R"(,"securityContext":{"privileged":"yes"})"), "u1",
       "request.object.spec.containers[0].privileged must be true or false"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const Review review = ParseReview(c.text);
    EXPECT_EQ(review.uid, c.uid);
    ASSERT_FALSE(review.request.has_value());
    EXPECT_THAT(review.request.error().message, HasSubstr(c.want));
  }
}

TEST(ParseReview, DeepNestingIsAnErrorAndNotACrash) {
  std::string deep = Creation(R"({"metadata":{},"spec":)");
  for (int i = 0; i < 100000; ++i) deep += "[";
  EXPECT_FALSE(ParseReview(deep).request.has_value());
}

TEST(ParseReview, NullMeansAbsent) {
  const Review review =
      ParseReview(Container(R"(,"env":null,"volumeMounts":null,"resources":null)"));
  ASSERT_TRUE(review.request.has_value()) << review.request.error().message;
  const auto& container = review.request->pod.containers.at(0);
  EXPECT_FALSE(container.env.has_value());
  EXPECT_FALSE(container.mounts.has_value());
  EXPECT_FALSE(container.has_resources);
}

TEST(ParseReview, TellsThePodForLogs) {
  EXPECT_EQ(ParseReview(Container("")).request->pod_key, "ns/p");
  const auto generated = ParseReview(
      Creation(R"({"metadata":{"generateName":"job-"},"spec":{"containers":[{"name":"a"}]}})"));
  EXPECT_EQ(generated.request->pod_key, "ns/job-*");
}

TEST(EncodeReview, EchoesTheUidAndCarriesThePatchInBase64) {
  Decision decision;
  decision.patch.push_back({"add", "/a", "1"});
  const std::string text = EncodeReview("u-\"1\"", decision);
  const auto document = json::Parse(text).value();
  const auto* response = json::Find(document, "response");
  ASSERT_NE(response, nullptr);
  EXPECT_EQ(json::GetString(*response, "uid").value(), "u-\"1\"");
  EXPECT_EQ(json::GetString(*response, "patchType").value(), "JSONPatch");
  EXPECT_EQ(json::GetString(*response, "patch").value(),
            base64::Encode(R"([{"op":"add","path":"/a","value":1}])"));
  EXPECT_EQ(json::GetString(document, "apiVersion").value(), "admission.k8s.io/v1");
  EXPECT_EQ(json::GetString(document, "kind").value(), "AdmissionReview");
}

TEST(EncodeReview, ARefusalHasAMessageAndNoPatch) {
  Decision decision;
  decision.allowed = false;
  decision.code = 403;
  decision.message = "no";
  decision.patch.push_back({"add", "/a", "1"});
  const auto document = json::Parse(EncodeReview("u1", decision)).value();
  EXPECT_EQ(json::FindPath(document, {"response", "patch"}), nullptr);
  EXPECT_FALSE(json::FindPath(document, {"response", "allowed"})->GetBool());
  EXPECT_EQ(json::GetString(*json::FindPath(document, {"response", "status"}), "message").value(),
            "no");
}

TEST(EncodeReview, AnEmptyPatchIsLeftOut) {
  const auto document = json::Parse(EncodeReview("u1", {})).value();
  EXPECT_EQ(json::FindPath(document, {"response", "patchType"}), nullptr);
  EXPECT_TRUE(json::FindPath(document, {"response", "allowed"})->GetBool());
}

}  // namespace
}  // namespace tessera::webhook
