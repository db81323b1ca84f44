// The verbs over a socket, as kube-scheduler sends and reads them; golden texts in
// tests/golden/extender.
#include "extender/routes.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/http/client.h"
#include "tests/extender/build.h"
#include "tests/extender/stub_client.h"

namespace tessera::extender {
namespace {

std::string ReadGolden(const std::string& name) {
  std::ifstream file(std::filesystem::path(TESSERA_SOURCE_DIR) / "tests/golden/extender" / name);
  std::stringstream text;
  text << file.rdbuf();
  std::string out = text.str();
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class RoutesTest : public CacheTest {
 protected:
  void SetUp() override {
    AddNode(cache_, "a", 1);
    AddNode(cache_, "b", 1);
    AddNode(cache_, "full", 1);
    cache_.AddPod("x", "full", Given("full", 0, 900, 10));
    cache_.SetNode("noagent", std::nullopt);
    AddRoutes(server_, {filter_, prioritize_, bind_, preempt_}, metrics_, system_clock_);
    port_ = server_.Start().value();
  }
  /// The body of a 200 answer.
  std::string Post(const std::string& verb, const std::string& body) {
    http::Client client({.base_url = "http://127.0.0.1:" + std::to_string(port_),
                         .ca_file = "",
                         .cert_file = "",
                         .key_file = ""});
    const auto answer = client.Post("/" + verb, body, {{"Content-Type", "application/json"}});
    EXPECT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200) << "kube-scheduler throws the body of any other status away";
    return answer->body;
  }

  SystemClock system_clock_;
  StubClient client_;
  Filter filter_{cache_, ranking_, verdicts_, {}, [] { return true; }, {}};
  Prioritize prioritize_{cache_, ranking_, verdicts_};
  Bind bind_{client_, cache_, system_clock_, std::chrono::seconds(4), [] { return true; }};
  Preempt preempt_{cache_, ranking_, [] { return true; }};
  http::Metrics metrics_{"extender"};
  http::Server server_{{}};
  int port_ = 0;
};

TEST_F(RoutesTest, FilterAnswersAsInTheGoldenFiles) {
  for (const char* name : {"filter_names", "filter_objects", "filter_bad_annotation"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(Post("filter", ReadGolden(std::string(name) + ".json")),
              ReadGolden(std::string(name) + ".answer.json"));
  }
}

TEST_F(RoutesTest, PreemptAnswersAsInTheGoldenFiles) {
  for (const char* name : {"preempt_meta", "preempt_objects", "preempt_hopeless"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(Post("preempt", ReadGolden(std::string(name) + ".json")),
              ReadGolden(std::string(name) + ".answer.json"));
  }
}

TEST_F(RoutesTest, AWholeCycleBindsThePod) {
  client_.SetPod("p", {.uid = "0a1b"});
  Post("filter", ReadGolden("filter_names.json"));
  const auto scores = json::Parse(Post("prioritize", ReadGolden("filter_names.json")));
  ASSERT_TRUE(scores && scores->IsArray());
  EXPECT_EQ(scores->Size(), 4u);
  EXPECT_EQ(Post("bind", ReadGolden("bind.json")), R"({"Error":""})");
  EXPECT_EQ(client_.GetPod("p").node, "a");
  EXPECT_EQ(client_.GetPod("p").bound_annotations.at("tessera.dev/c0-limits"),
            "v1 fixed-share a-0:300:30");
}

TEST_F(RoutesTest, MalformedBodiesAreAnsweredInTheVerbsOwnShape) {
  for (const char* body : {"", "{", "null", "7", "{\"Pod\":[]}"}) {
    SCOPED_TRACE(body);
    const auto filtered = json::Parse(Post("filter", body));
    ASSERT_TRUE(filtered);
    EXPECT_FALSE(json::GetString(*filtered, "Error").value_or("").empty());
    EXPECT_EQ(Post("prioritize", body), "[]");
    EXPECT_EQ(Post("preempt", body), R"({"NodeNameToMetaVictims":{}})") << "nobody is evicted";
    const auto bound = json::Parse(Post("bind", body));
    ASSERT_TRUE(bound);
    EXPECT_FALSE(json::GetString(*bound, "Error").value_or("").empty());
  }
  EXPECT_TRUE(client_.journal().empty()) << "nothing is bound";
}

TEST_F(RoutesTest, CountsRequestsByVerbAndResult) {
  Post("filter", ReadGolden("filter_names.json"));
  Post("bind", "{}");
  Post("preempt", ReadGolden("preempt_meta.json"));
  const std::string text = metrics_.Render();
  EXPECT_NE(text.find("tessera_extender_requests_total{result=\"ok\",verb=\"filter\"} 1"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("tessera_extender_requests_total{result=\"error\",verb=\"bind\"} 1"),
            std::string::npos);
  EXPECT_NE(text.find("tessera_extender_requests_total{result=\"ok\",verb=\"preempt\"} 1"),
            std::string::npos);
}

}  // namespace
}  // namespace tessera::extender
