// Pods on their way into the simulated API server go through the webhook.
#include "sim/apiserver/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/base64.h"
#include "sim/admission/webhook_caller.h"
#include "tests/sim/admission/fake_webhook.h"
#include "tests/sim/kube/cluster.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

class WebhookAdmissionTest : public ClusterTest {
 protected:
  WebhookAdmissionTest() { api_->SetAdmission(WebhookAdmission(caller_)); }
  void AnswerPatch(const std::string& patch) {
    webhook_.Answer(R"("allowed":true,"patchType":"JSONPatch","patch":")" + base64::Encode(patch) +
                    '"');
  }
  Errc CreateRefused(const std::string& part) {
    const auto created = client_->Post(kPods, PodJson("p"));
    EXPECT_FALSE(created);
    if (created) return Errc::kInternal;
    EXPECT_THAT(created.error().message, HasSubstr(part));
    EXPECT_FALSE(client_->Get(std::string(kPods) + "/p")) << "nothing is kept of a refused pod";
    return created.error().code;
  }

  FakeWebhook webhook_;
  WebhookCaller caller_{webhook_.url(), webhook_.ca_file(), std::chrono::seconds(2)};
};

TEST_F(WebhookAdmissionTest, ThePatchedPodIsWhatIsKept) {
  AnswerPatch(R"([{"op":"add","path":"/spec/schedulerName","value":"tessera-scheduler"}])");
  ASSERT_TRUE(client_->Post(kPods, PodJson("p")));
  EXPECT_EQ(Text(std::string(kPods) + "/p", {"spec", "schedulerName"}), "tessera-scheduler");
}

TEST_F(WebhookAdmissionTest, ARefusalReachesWhoeverCreatesThePod) {
  webhook_.Answer(R"("allowed":false,"status":{"message":"gpu-memory: no"})");
  EXPECT_EQ(CreateRefused("denied the request: gpu-memory: no"), Errc::kInvalidArgument);
}

TEST_F(WebhookAdmissionTest, APatchThatDoesNotFitRefusesThePod) {
  AnswerPatch(R"([{"op":"remove","path":"/spec/nothing"}])");
  EXPECT_EQ(CreateRefused("the webhook's patch"), Errc::kUnavailable);
  AnswerPatch("nonsense");
  EXPECT_EQ(CreateRefused("the webhook's patch"), Errc::kUnavailable);
}

TEST_F(WebhookAdmissionTest, WithoutTheWebhookNoPodGetsInButNodesDo) {
  webhook_.GoAway();
  EXPECT_EQ(CreateRefused("failed calling webhook"), Errc::kUnavailable);
  EXPECT_TRUE(client_->Post("/api/v1/nodes", R"({"metadata":{"name":"n1"}})"));
}

}  // namespace
}  // namespace tessera::sim
