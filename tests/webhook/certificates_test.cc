#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/manual_clock.h"
#include "tests/webhook/golden.h"
#include "webhook/certificate_store.h"

namespace tessera::webhook {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

CertificateState Good(WallTime from, std::chrono::seconds life) {
  CertificateState state;
  state.not_before = from;
  state.not_after = from + life;
  state.names = {"a.svc", "b.svc"};
  state.key_matches = true;
  state.signed_by_ca = true;
  return state;
}

TEST(DecideRenewal, FollowsAgeKeysNamesAndAuthority) {
  const WallTime begin{hours(1000)};
  const std::chrono::seconds leaf_life = hours(90);
  const struct {
    const char* name;
    std::function<void(std::optional<CertificateState>&, std::optional<CertificateState>&)> change;
    hours age;
    Renewal want;
  } cases[] = {
      {"fresh", [](auto&, auto&) {}, hours(1), Renewal::kNone},
      {"just before two thirds", [](auto&, auto&) {}, hours(59), Renewal::kNone},
      {"at two thirds", [](auto&, auto&) {}, hours(60), Renewal::kLeaf},
      {"expired", [](auto&, auto&) {}, hours(500), Renewal::kLeaf},
      {"clock went back", [](auto&, auto& leaf) { leaf->not_before += hours(2); }, hours(1),
       Renewal::kLeaf},
      {"no leaf", [](auto&, auto& leaf) { leaf.reset(); }, hours(1), Renewal::kLeaf},
      {"leaf of another CA", [](auto&, auto& leaf) { leaf->signed_by_ca = false; }, hours(1),
       Renewal::kLeaf},
      {"leaf of another key", [](auto&, auto& leaf) { leaf->key_matches = false; }, hours(1),
       Renewal::kLeaf},
      {"a name is missing", [](auto&, auto& leaf) { leaf->names = {"a.svc"}; }, hours(1),
       Renewal::kLeaf},
      {"names in another order",
       [](auto&, auto& leaf) {
         leaf->names = {"b.svc", "a.svc"};
       },
       hours(1), Renewal::kNone},
      {"no CA", [](auto& ca, auto&) { ca.reset(); }, hours(1), Renewal::kAll},
      {"CA of another key", [](auto& ca, auto&) { ca->key_matches = false; }, hours(1),
       Renewal::kAll},
      {"CA ends before a new leaf would",
       [](auto& ca, auto&) { ca->not_after = WallTime(hours(1050)); }, hours(1), Renewal::kAll},
      {"CA is of the future", [](auto& ca, auto&) { ca->not_before += hours(2); }, hours(1),
       Renewal::kAll},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    std::optional<CertificateState> ca = Good(begin, hours(10000));
    std::optional<CertificateState> leaf = Good(begin, leaf_life);
    c.change(ca, leaf);
    EXPECT_EQ(DecideRenewal(ca, leaf, {"a.svc", "b.svc"}, leaf_life, begin + c.age), c.want);
  }
}

TEST(X509, ALeafCarriesItsNamesAndItsAuthority) {
  const Lifetime lifetime{WallTime(hours(24 * 365 * 50)), hours(24)};
  const auto authority = MakeAuthority(lifetime).value();
  const auto leaf = MakeLeaf(authority, {"a.svc", "127.0.0.1", "::1", "*.x.svc"}, lifetime).value();
  const auto state = Inspect(leaf, authority.certificate).value();
  EXPECT_EQ(state.names, (std::vector<std::string>{"a.svc", "127.0.0.1", "::1", "*.x.svc"}));
  EXPECT_EQ(state.not_before, lifetime.from);
  EXPECT_EQ(state.not_after, lifetime.from + lifetime.life);
  EXPECT_TRUE(state.key_matches);
  EXPECT_TRUE(state.signed_by_ca);
  const auto other = MakeAuthority(lifetime).value();
  EXPECT_FALSE(Inspect(leaf, other.certificate)->signed_by_ca);
  EXPECT_FALSE(Inspect({leaf.certificate, other.key}, authority.certificate)->key_matches);
  EXPECT_FALSE(Inspect({"rubbish", leaf.key}, authority.certificate).has_value());
  EXPECT_FALSE(Inspect({leaf.certificate, "rubbish"}, authority.certificate)->key_matches);
}

TEST(X509, RefusesWhatIsNoName) {
  const Lifetime lifetime{WallTime(hours(24)), hours(24)};
  const auto authority = MakeAuthority(lifetime).value();
  for (const char* name : {"", "a b", "a,IP:1.2.3.4", "a/b", "ä"}) {
    const auto leaf = MakeLeaf(authority, {name}, lifetime);
    ASSERT_FALSE(leaf.has_value()) << name;
    EXPECT_THAT(leaf.error().message, HasSubstr("is neither a DNS name nor an address"));
  }
  EXPECT_FALSE(MakeLeaf(authority, {}, lifetime).has_value());
}

class Store : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/certificates.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern + "/deep/er";
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  CertificateStore Make(std::vector<std::string> names = {"webhook.svc"}) {
    return {directory_, std::move(names), clock_};
  }
  std::string Text(const char* file) const { return ReadText(directory_ + "/" + file); }
  static mode_t Mode(const std::string& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
  }

  ManualClock clock_;
  std::string root_;
  std::string directory_;
};

TEST_F(Store, MakesAllFilesWithTheirModes) {
  auto store = Make();
  EXPECT_TRUE(store.EnsureFresh().value());
  EXPECT_EQ(Mode(store.key_file()), 0600U);
  EXPECT_EQ(Mode(directory_ + "/ca.key"), 0600U);
  EXPECT_EQ(Mode(store.certificate_file()), 0644U);
  EXPECT_EQ(Mode(store.authority_file()), 0644U);
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    EXPECT_FALSE(entry.path().string().ends_with(".new")) << entry.path();
  }
}

TEST_F(Store, ARestartKeepsEverything) {
  EXPECT_TRUE(Make().EnsureFresh().value());
  const std::string leaf = Text("tls.crt");
  EXPECT_FALSE(Make().EnsureFresh().value());
  EXPECT_EQ(Text("tls.crt"), leaf);
}

TEST_F(Store, TheLeafIsRenewedAtTwoThirdsOfItsLifeAndTheAuthorityStays) {
  auto store = Make();
  EXPECT_TRUE(store.EnsureFresh().value());
  const std::string leaf = Text("tls.crt");
  const std::string authority = Text("ca.crt");
  clock_.Advance(CertificateStore::kLeafLife * 2 / 3 - hours(1));
  EXPECT_FALSE(store.EnsureFresh().value());
  clock_.Advance(hours(1));
  EXPECT_TRUE(store.EnsureFresh().value());
  EXPECT_NE(Text("tls.crt"), leaf);
  EXPECT_EQ(Text("ca.crt"), authority);
  EXPECT_FALSE(store.EnsureFresh().value());
}

TEST_F(Store, ANewAuthorityComesWithANewLeaf) {
  auto store = Make();
  EXPECT_TRUE(store.EnsureFresh().value());
  const std::string authority = Text("ca.crt");
  clock_.Advance(CertificateStore::kAuthorityLife);
  EXPECT_TRUE(store.EnsureFresh().value());
  EXPECT_NE(Text("ca.crt"), authority);
  EXPECT_FALSE(store.EnsureFresh().value());
}

TEST_F(Store, OtherNamesGiveANewLeaf) {
  EXPECT_TRUE(Make().EnsureFresh().value());
  EXPECT_TRUE(Make({"webhook.svc", "127.0.0.1"}).EnsureFresh().value());
  EXPECT_FALSE(Make({"127.0.0.1", "webhook.svc"}).EnsureFresh().value());
}

TEST_F(Store, AnyDamagedFileIsRepaired) {
  for (const char* file : {"ca.crt", "ca.key", "tls.crt", "tls.key"}) {
    for (const char* content : {"", "rubbish"}) {
      SCOPED_TRACE(std::string(file) + " " + content);
      EXPECT_TRUE(Make({"webhook.svc"}).EnsureFresh().has_value());
      std::ofstream(directory_ + "/" + file) << content;
      EXPECT_TRUE(Make().EnsureFresh().value());
      EXPECT_FALSE(Make().EnsureFresh().value());
    }
  }
}

TEST_F(Store, ACrashBetweenTwoFilesIsRepaired) {
  EXPECT_TRUE(Make().EnsureFresh().value());
  const std::string old_leaf = Text("tls.crt");
  clock_.Advance(CertificateStore::kLeafLife);
  EXPECT_TRUE(Make().EnsureFresh().value());
  std::ofstream(directory_ + "/tls.crt")
      << old_leaf;  // the new key is there, the new certificate is not
  std::ofstream(directory_ + "/tls.key.new") << "half";
  EXPECT_TRUE(Make().EnsureFresh().value());
  EXPECT_FALSE(Make().EnsureFresh().value());
}

TEST_F(Store, TwoReplicasOnOneFolderAgree) {
  std::array<int, 4> written{};
  {
    std::vector<std::jthread> replicas;
    for (int& count : written) {
      replicas.emplace_back([this, &count] { count = Make().EnsureFresh().value() ? 1 : 0; });
    }
  }
  EXPECT_EQ(written[0] + written[1] + written[2] + written[3], 1);
  EXPECT_FALSE(Make().EnsureFresh().value());
}

TEST_F(Store, AFolderThatCannotBeWrittenIsAnErrorThatNamesIt) {
  std::ofstream(root_ + "/file") << "x";
  directory_ = root_ + "/file/below";
  const auto result = Make().EnsureFresh();
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message, HasSubstr(directory_));
}

}  // namespace
}  // namespace tessera::webhook
