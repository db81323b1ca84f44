// The webhook as kube-apiserver meets it: HTTPS with our own certificate, always 200, the uid
// echoed.
#include "webhook/service.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/client.h"
#include "common/json/json.h"
#include "tests/fakes/manual_clock.h"
#include "tests/webhook/golden.h"
#include "webhook/flags.h"
#include "webhook/upkeep.h"

namespace tessera::webhook {
namespace {

using ::testing::HasSubstr;

/// Answers GET /version, or an error.
class VersionClient final : public kube::Client {
 public:
  Result<rapidjson::Document> Get(const std::string& path) override {
    ++asked;
    if (path != "/version" || version.empty()) return Fail(Errc::kUnavailable, "away");
    return json::Parse(version);
  }
  Result<kube::ListResult> List(const std::string&) override { return Unused(); }
  Result<rapidjson::Document> Post(const std::string&, const std::string&) override {
    return Unused();
  }
  Result<rapidjson::Document> Put(const std::string&, const std::string&) override {
    return Unused();
  }
  Result<rapidjson::Document> Patch(const std::string&, kube::PatchType,
                                    const std::string&) override {
    return Unused();
  }
  Result<void> Delete(const std::string&) override { return Unused(); }
  Result<void> Watch(const std::string&, const std::string&,
                     const std::function<void(kube::WatchEvent&)>&, std::stop_token) override {
    return Unused();
  }

  std::string version;
  int asked = 0;

 private:
  static tl::unexpected<Error> Unused() { return Fail(Errc::kInternal, "not part of the stub"); }
};

Options ImageOptions() {
  Options options;
  options.delivery = Delivery::kImage;
  options.library_image = "registry.example/tessera-library:0.1.0";
  return options;
}

std::string Golden(const char* name) {
  return ReadText(std::string(TESSERA_SOURCE_DIR "/tests/golden/webhook/") + name + ".json");
}

class Service : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/service.XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    store_.emplace(folder_, std::vector<std::string>{"127.0.0.1"}, clock_);
    ASSERT_TRUE(store_->EnsureFresh().has_value());
    http::ServerOptions options;
    options.cert_file = store_->certificate_file();
    options.key_file = store_->key_file();
    options.certificate_check_interval = std::chrono::milliseconds(0);
    server_.emplace(options);
    service_.AddRoute(*server_);
    const auto port = server_->Start();
    ASSERT_TRUE(port.has_value()) << port.error().message;
    url_ = "https://127.0.0.1:" + std::to_string(*port);
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  http::Client Connect() {
    http::ClientOptions options;
    options.base_url = url_;
    options.ca_file = store_->authority_file();
    return http::Client(options);
  }

  SystemClock clock_;
  std::string folder_;
  std::optional<CertificateStore> store_;
  http::Metrics metrics_{"webhook"};
  AdmissionService service_{ImageOptions(), metrics_, clock_};
  std::optional<http::Server> server_;
  std::string url_;
};

TEST_F(Service, AnswersWith200WhateverComes) {
  http::Client client = Connect();
  for (const std::string& body :
       {Golden("hami"), Golden("refuse_node_name"), Golden("malformed_no_uid"), std::string("{"),
        std::string(), std::string("\xff\xfe", 2)}) {
    const auto answer = client.Post("/mutate?timeout=5s", body);
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    const auto document = json::Parse(answer->body);
    ASSERT_TRUE(document.has_value()) << answer->body;
    EXPECT_NE(json::FindPath(*document, {"response", "allowed"}), nullptr);
  }
  const std::string metrics = metrics_.Render();
  EXPECT_THAT(metrics, HasSubstr("result=\"patched\",verb=\"mutate\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("result=\"refused\",verb=\"mutate\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("result=\"malformed\",verb=\"mutate\"} 4"));
}

TEST_F(Service, ConcurrentReviewsGetTheirOwnUid) {
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 8; ++i) {
      callers.emplace_back([&, i] {
        http::Client client = Connect();
        std::string body = Golden("annotations");
        const std::string uid = "uid-of-caller-" + std::to_string(i);
        body.replace(body.find("705ab4f5-6393-11e8-b7cc-42010a800002"), 36, uid);
        for (int call = 0; call < 20; ++call) {
          const auto answer = client.Post("/mutate", body);
          if (!answer || answer->body.find("\"" + uid + "\"") == std::string::npos) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST_F(Service, ARenewedCertificateIsServedWithoutARestart) {
  ASSERT_TRUE(Connect().Post("/mutate", "{}").has_value());
  std::filesystem::remove(folder_ + "/ca.crt");  // a new CA, and so a new leaf
  ASSERT_TRUE(store_->EnsureFresh().value());
  const auto answer = Connect().Post("/mutate", "{}");
  EXPECT_TRUE(answer.has_value()) << answer.error().message;
}

TEST_F(Service, ADeliveryThatIsFoundOutHoldsForTheNextReview) {
  service_.SetDelivery(Delivery::kInit);
  const auto with_init = service_.Answer(Golden("annotations"));
  service_.SetDelivery(Delivery::kImage);
  EXPECT_NE(with_init, service_.Answer(Golden("annotations")));
}

TEST(UpkeepOfDelivery, AsksAgainUntilItKnowsAndThenHourly) {
  ManualClock clock;
  http::Metrics metrics("webhook");
  Options options = ImageOptions();
  options.delivery = Delivery::kInit;
  AdmissionService service(options, metrics, clock);
  VersionClient client;
  Upkeep upkeep({.certificates = nullptr, .version_source = &client}, service, clock);
  upkeep.Tick();
  EXPECT_EQ(service.delivery(), Delivery::kInit) << "unknown: what works everywhere";
  upkeep.Tick();
  EXPECT_EQ(client.asked, 1);
  client.version = R"({"major":"1","minor":"36"})";
  clock.Advance(Upkeep::kRetry);
  upkeep.Tick();
  EXPECT_EQ(service.delivery(), Delivery::kImage);
  client.version = R"({"major":"1","minor":"34"})";
  upkeep.Tick();
  EXPECT_EQ(client.asked, 2);
  clock.Advance(Upkeep::kRefresh);
  upkeep.Tick();
  EXPECT_EQ(service.delivery(), Delivery::kInit);
  client.version.clear();
  clock.Advance(Upkeep::kRefresh);
  upkeep.Tick();
  EXPECT_EQ(service.delivery(), Delivery::kInit) << "an error changes nothing";
}

TEST(FlagsOfTheWebhook, MemoryIsOversubscribedOnlyWhereItIsAllowed) {
  const std::pair<const char*, bool> cases[] = {
      {"--library-image i", false},
      {"--library-image i --allow-memory-oversubscription", true},
      {"--library-image i --allow-memory-oversubscription=true", true},
      {"--library-image i --allow-memory-oversubscription=false", false},
  };
  for (const auto& [line, want] : cases) {
    CLI::App app;
    Flags flags;
    AddFlags(app, flags);
    app.parse(std::string(line), false);
    EXPECT_EQ(flags.options.allow_memory_oversubscription, want) << line;
  }
}

TEST(FlagsOfTheWebhook, AreCheckedTogether) {
  const struct {
    const char* line;
    const char* want;  ///< part of the error; null: good
  } cases[] = {
      {"--library-image i", nullptr},
      {"--delivery image --library-image i", nullptr},
      {"--delivery hostPath --library-host-path /opt/tessera", nullptr},
      {"", "--library-image"},
      {"--delivery init", "--library-image"},
      {"--delivery hostPath", "--library-host-path"},
      {"--delivery hostPath --library-host-path relative", "--library-host-path"},
      {"--library-image i --self-signed-dir d", nullptr},
      {"--library-image i --self-signed-dir d --service-dns-names a,b", nullptr},
      {"--library-image i --self-signed-dir d --service-dns-names a --tls-cert-file c "
       "--tls-private-key-file k",
       "exclude each other"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.line);
    CLI::App app;
    Flags flags;
    AddFlags(app, flags);
    app.parse(std::string(c.line), false);
    const auto ok = Complete(flags);
    EXPECT_EQ(ok.has_value(), c.want == nullptr);
    if (!ok) {
      EXPECT_THAT(ok.error().message, HasSubstr(c.want));
    }
  }
}

}  // namespace
}  // namespace tessera::webhook
