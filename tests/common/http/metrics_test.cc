#include "common/http/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::http {
namespace {

using testing::HasSubstr;

TEST(Metrics, CountRequestsByVerbAndResult) {
  Metrics metrics("extender");
  metrics.Observe("filter", "ok", std::chrono::milliseconds(3));
  metrics.Observe("filter", "ok", std::chrono::seconds(20));
  metrics.Observe("bind", "error", std::chrono::milliseconds(1));
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("tessera_extender_requests_total{result=\"ok\",verb=\"filter\"} 2"));
  EXPECT_THAT(text, HasSubstr("tessera_extender_requests_total{result=\"error\",verb=\"bind\"} 1"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{verb=\"filter\",le=\"0.0025\"} 0"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{verb=\"filter\",le=\"0.005\"} 1"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_bucket{verb=\"filter\",le=\"10\"} 1"));
  EXPECT_THAT(text, HasSubstr("duration_seconds_count{verb=\"filter\"} 2"));
}

TEST(Metrics, TellTheBuild) {
  EXPECT_THAT(
      Metrics("agent").Render(),
      HasSubstr("tessera_build_info{component=\"agent\",version=\"" TESSERA_VERSION "\"} 1"));
}

}  // namespace
}  // namespace tessera::http
