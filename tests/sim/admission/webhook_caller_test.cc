#include "sim/admission/webhook_caller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "tests/sim/admission/fake_webhook.h"

namespace tessera::sim {
namespace {

using testing::HasSubstr;

class WebhookCallerTest : public testing::Test {
 protected:
  AdmissionAnswer Call() {
    WebhookCaller caller(webhook_.url(), webhook_.ca_file(), std::chrono::seconds(2));
    return caller.Review(json::Parse(R"({"metadata":{"name":"p"}})").value(), "team", false);
  }
  FakeWebhook webhook_;
};

TEST_F(WebhookCallerTest, LetsThroughWhatTheWebhookAllows) {
  const AdmissionAnswer answer = Call();
  EXPECT_TRUE(answer.allowed) << answer.message;
  EXPECT_EQ(webhook_.timeout(), "2s");
}

TEST_F(WebhookCallerTest, ARefusalHasKubeApiserversWords) {
  webhook_.Answer(R"("allowed":false,"status":{"message":"gpu-memory: no"})");
  const AdmissionAnswer answer = Call();
  EXPECT_FALSE(answer.allowed);
  EXPECT_EQ(answer.code, 403);
  EXPECT_EQ(answer.message,
            "admission webhook \"pods.tessera.dev\" denied the request: gpu-memory: no");
}

TEST_F(WebhookCallerTest, AFailedCallLetsNothingThrough) {
  webhook_.AnswerStatus(503);
  const AdmissionAnswer busy = Call();
  EXPECT_FALSE(busy.allowed);
  EXPECT_EQ(busy.code, 500);
  EXPECT_THAT(busy.message, HasSubstr("failed calling webhook"));
  webhook_.GoAway();
  EXPECT_FALSE(Call().allowed);
}

TEST_F(WebhookCallerTest, ACertificateOfAnotherCaIsNotTrusted) {
  webhook_.ReplaceCa();
  EXPECT_EQ(Call().code, 500);
}

}  // namespace
}  // namespace tessera::sim
