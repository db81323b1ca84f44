#include "common/kube/retry.h"

#include <gtest/gtest.h>

#include "common/kube/backoff.h"
#include "common/kube/token_bucket.h"

namespace tessera::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Backoff, DoublesUpToTheMaximumAndIsJitteredFully) {
  const RetryPolicy policy;
  EXPECT_EQ(Backoff(policy, 0, 1.0), milliseconds(100));
  EXPECT_EQ(Backoff(policy, 1, 1.0), milliseconds(200));
  EXPECT_EQ(Backoff(policy, 5, 1.0), milliseconds(3200));
  EXPECT_EQ(Backoff(policy, 7, 1.0), milliseconds(10'000));
  EXPECT_EQ(Backoff(policy, 1'000'000, 1.0), milliseconds(10'000)) << "no overflow";
  EXPECT_EQ(Backoff(policy, 3, 0.0), milliseconds(0));
  EXPECT_EQ(Backoff(policy, 3, 0.5), milliseconds(400));
}

TEST(NextAttempt, RepeatsOnlyWhatMayBeRepeated) {
  struct Case {
    const char* name;
    Outcome outcome;
    bool get;
    bool post;
  };
  const Case cases[] = {
      {"ok", {.status = 200}, false, false},
      {"bad request", {.status = 400}, false, false},
      {"not found", {.status = 404}, false, false},
      {"conflict", {.status = 409}, false, false},
      {"gone", {.status = 410}, false, false},
      {"busy", {.status = 429}, true, true},
      {"broken", {.status = 500}, true, false},
      {"away", {.status = 503}, true, false},
      {"cut", {}, true, false},
      {"never sent", {.not_sent = true}, true, true},
      {"wrong CA", {.not_sent = true, .permanent = true}, false, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(NextAttempt({}, "GET", c.outcome, 0, {}, 1).has_value(), c.get);
    for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
      EXPECT_EQ(NextAttempt({}, method, c.outcome, 0, {}, 1).has_value(), c.post) << method;
    }
  }
}

TEST(NextAttempt, EndsWithAttemptsAndBudget) {
  const RetryPolicy policy{.max_attempts = 3, .budget = seconds(5)};
  const Outcome busy{.status = 429};
  EXPECT_TRUE(NextAttempt(policy, "GET", busy, 1, {}, 1));
  EXPECT_FALSE(NextAttempt(policy, "GET", busy, 2, {}, 1));
  EXPECT_TRUE(NextAttempt(policy, "GET", busy, 0, milliseconds(4900), 1));
  EXPECT_FALSE(NextAttempt(policy, "GET", busy, 0, milliseconds(4901), 1));
}

TEST(NextAttempt, ObeysRetryAfterWithinTheBudget) {
  const Outcome wait{.status = 503, .retry_after = seconds(2)};
  EXPECT_EQ(NextAttempt({}, "GET", wait, 0, {}, 0.5), milliseconds(2050));
  EXPECT_FALSE(NextAttempt({}, "GET", {.status = 503, .retry_after = seconds(60)}, 0, {}, 0.5));
}

TEST(GrowingWait, NeverSpinsAndStartsAnewAfterProgress) {
  GrowingWait wait({.base = milliseconds(100), .max = milliseconds(400)});
  EXPECT_EQ(wait.Next(0), milliseconds(50));
  EXPECT_EQ(wait.Next(0), milliseconds(100));
  EXPECT_EQ(wait.Next(1), milliseconds(400));
  EXPECT_EQ(wait.Next(1), milliseconds(400));
  wait.Reset();
  EXPECT_EQ(wait.Next(1), milliseconds(100));
}

TEST(TokenBucket, LetsABurstPassAndThenTheRate) {
  const TokenBucket::TimePoint start{seconds(1000)};
  TokenBucket bucket(10, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.Take(start).count(), 0);
  EXPECT_EQ(bucket.Take(start), milliseconds(100));
  EXPECT_EQ(bucket.Take(start), milliseconds(200)) << "callers queue up";
  EXPECT_EQ(bucket.Take(start + seconds(1)).count(), 0);
  EXPECT_EQ(bucket.Take(start + seconds(100)).count(), 0);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(bucket.Take(start + seconds(100)).count(), 0);
  EXPECT_GT(bucket.Take(start + seconds(100)).count(), 0)
      << "unused tokens beyond the burst are lost";
}

TEST(TokenBucket, WithoutARateThereIsNoLimit) {
  TokenBucket bucket(0, 0);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(bucket.Take({}).count(), 0);
}

}  // namespace
}  // namespace tessera::kube
