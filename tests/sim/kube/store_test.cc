#include "sim/kube/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

using testing::ElementsAre;

const WallTime kNow{std::chrono::seconds(1000)};

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    EXPECT_TRUE(Create("/api/v1/namespaces", "default"));
    EXPECT_TRUE(Create("/api/v1/namespaces", "other"));
  }
  static Target At(const std::string& path) { return *ParseTarget(path); }
  Reply<ObjectPtr> Create(const std::string& path, const std::string& name,
                          const std::string& more = "") {
    return store_.Create(
        At(path), json::Parse(R"({"metadata":{"name":")" + name + "\"" + more + "}}").value(),
        kNow);
  }
  Reply<ObjectPtr> CreatePod(const std::string& name) {
    return store_.Create(At(kPods),
                         json::Parse(R"({"metadata":{"name":")" + name +
                                     R"("},"spec":{"containers":[{"name":"c"}]}})")
                             .value(),
                         kNow);
  }
  Reply<ObjectPtr> Bind(const std::string& name) {
    return store_.Bind(At(kPods + ("/" + name)), json::Parse(R"({"target":{"name":"n"}})").value(),
                       kNow);
  }
  std::vector<std::string> Names(const ListPage& page) {
    std::vector<std::string> names;
    for (const auto& object : page.items) names.push_back(object->ns + "/" + object->name);
    return names;
  }

  static constexpr const char* kPods = "/api/v1/namespaces/default/pods";
  static constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";
  int uids_ = 0;
  Store store_{10, [] { return "sufix"; }, [this] { return "uid-" + std::to_string(++uids_); }};
};

TEST_F(StoreTest, GivesEachObjectIdentityAndEachChangeAVersion) {
  const auto a = Create(kMaps, "a").value();
  const auto b = Create(kMaps, "b").value();
  EXPECT_NE(a->uid, b->uid);
  EXPECT_EQ(b->version, a->version + 1);
  EXPECT_EQ(store_.version(), b->version);
  EXPECT_THAT(a->json, testing::HasSubstr(R"("creationTimestamp":"1970-01-01T00:16:40Z")"));
  EXPECT_EQ(Create(kMaps, "a").error().reason, "AlreadyExists");
  EXPECT_EQ(Create("/api/v1/namespaces/nowhere/configmaps", "a").error().code, 404);
  EXPECT_EQ(store_.version(), b->version) << "refusals change nothing";
}

TEST_F(StoreTest, ARecreatedObjectIsAnother) {
  const auto first = Create(kMaps, "a").value();
  ASSERT_TRUE(store_.Delete(At(kMaps + std::string("/a")), {}, kNow));
  const auto second = Create(kMaps, "a").value();
  EXPECT_NE(first->uid, second->uid);
  EXPECT_GT(second->version, first->version + 1);
}

TEST_F(StoreTest, ListsANamespaceOrAllInOrderAndPages) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(Create(kMaps, name));
  ASSERT_TRUE(Create("/api/v1/namespaces/other/configmaps", "a"));
  EXPECT_THAT(Names(*store_.List(At(kMaps), {})),
              ElementsAre("default/a", "default/b", "default/c"));
  const Target all = At("/api/v1/configmaps");
  const auto first = store_.List(all, {.selector = {}, .limit = 3}).value();
  EXPECT_THAT(Names(first), ElementsAre("default/a", "default/b", "default/c"));
  ASSERT_NE(first.next, "");
  ASSERT_TRUE(Create(kMaps, "d"));
  const auto second = store_.List(all, {.selector = {}, .limit = 3, .next = first.next}).value();
  EXPECT_THAT(Names(second), ElementsAre("default/d", "other/a"));
  EXPECT_EQ(second.version, first.version) << "so that a watch from here tells of d";
  EXPECT_EQ(second.next, "");
  store_.Compact();
  EXPECT_EQ(store_.List(all, {.selector = {}, .limit = 3, .next = first.next}).error().code, 410);
  EXPECT_EQ(store_.List(all, {.selector = {}, .limit = 3, .next = "nonsense"}).error().code, 400);
}

TEST_F(StoreTest, ExactlyAFullPageHasNoNext) {
  for (const char* name : {"a", "b"}) ASSERT_TRUE(Create(kMaps, name));
  EXPECT_EQ(store_.List(At(kMaps), {.selector = {}, .limit = 2})->next, "");
}

TEST_F(StoreTest, RemembersAWindowOfHistory) {
  const auto begin = store_.version();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Create(kMaps, "m" + std::to_string(i)));
  ASSERT_TRUE(store_.Since(begin));
  EXPECT_EQ(store_.Since(begin)->size(), 10U);
  EXPECT_EQ(store_.Since(begin + 9)->size(), 1U);
  EXPECT_EQ(store_.Since(begin + 10)->size(), 0U);
  EXPECT_FALSE(store_.Since(begin - 1)) << "one too old";
  EXPECT_FALSE(store_.Since(begin + 11)) << "the future";
  store_.Compact();
  EXPECT_TRUE(store_.Since(begin + 10)) << "who is up to date misses nothing";
  EXPECT_FALSE(store_.Since(begin + 9));
}

TEST_F(StoreTest, AnUpdateIsOneStepOrNothing) {
  const auto before = Create(kMaps, "a").value();
  const Target a = At(kMaps + std::string("/a"));
  const auto failed = store_.Update(a, [](rapidjson::Document& object) -> Reply<void> {
    object.AddMember("data", "changed", object.GetAllocator());
    return Refuse(422, "Invalid", "no");
  });
  EXPECT_EQ(failed.error().code, 422);
  EXPECT_EQ(store_.Get(a).value(), before);
  const auto nothing = store_.Update(a, [](rapidjson::Document&) -> Reply<void> { return {}; });
  EXPECT_EQ(nothing.value(), before) << "the very same version";
  const auto gone = store_.Update(At(kMaps + std::string("/b")),
                                  [](rapidjson::Document&) -> Reply<void> { return {}; });
  EXPECT_EQ(gone.error().message, "configmaps \"b\" not found");
}

TEST_F(StoreTest, DeleteHonoursPreconditions) {
  const auto object = Create(kMaps, "a").value();
  const Target a = At(kMaps + std::string("/a"));
  EXPECT_EQ(store_.Delete(a, {.uid = "other"}, kNow).error().code, 409);
  EXPECT_EQ(store_.Delete(a, {.resource_version = "1"}, kNow).error().code, 409);
  const auto deleted = store_.Delete(a, {.uid = object->uid}, kNow);
  ASSERT_TRUE(deleted);
  EXPECT_EQ((*deleted)->version, store_.version()) << "a deletion has a version of its own";
  EXPECT_EQ(store_.Delete(a, {}, kNow).error().code, 404);
}

TEST_F(StoreTest, APodThatMayBeRunningIsOnlyMarked) {
  ASSERT_TRUE(CreatePod("free"));
  ASSERT_TRUE(store_.Delete(At(kPods + std::string("/free")), {}, kNow));
  EXPECT_FALSE(store_.Get(At(kPods + std::string("/free")))) << "no kubelet knows it";
  ASSERT_TRUE(CreatePod("p"));
  ASSERT_TRUE(Bind("p"));
  const Target p = At(kPods + std::string("/p"));
  const auto marked = store_.Delete(p, {}, kNow).value();
  EXPECT_THAT(marked->json,
              testing::HasSubstr(
                  R"("deletionTimestamp":"1970-01-01T00:17:10Z","deletionGracePeriodSeconds":30)"));
  EXPECT_EQ(store_.Delete(p, {}, kNow).value(), store_.Get(p).value()) << "twice is the same";
  ASSERT_TRUE(store_.Delete(p, {.grace_seconds = 0}, kNow));
  EXPECT_FALSE(store_.Get(p));
}

TEST_F(StoreTest, FinalizersHoldAnObjectUntilTheyAreTakenAway) {
  ASSERT_TRUE(Create(kMaps, "a", R"(,"finalizers":["x"])"));
  const Target a = At(kMaps + std::string("/a"));
  ASSERT_TRUE(store_.Delete(a, {}, kNow));
  ASSERT_TRUE(store_.Get(a));
  ASSERT_TRUE(store_.Update(a, [](rapidjson::Document& object) -> Reply<void> {
    RemoveMetadata(object, "finalizers");
    return {};
  }));
  EXPECT_FALSE(store_.Get(a));
}

TEST_F(StoreTest, AFailedBindLeavesNoTrace) {
  ASSERT_TRUE(CreatePod("p"));
  ASSERT_TRUE(Bind("p"));
  const auto version = store_.version();
  EXPECT_EQ(Bind("p").error().code, 409);
  EXPECT_EQ(store_.version(), version);
  EXPECT_EQ(store_
                .Bind(At(kPods + std::string("/q")),
                      json::Parse(R"({"target":{"name":"n"}})").value(), kNow)
                .error()
                .code,
            404);
}

TEST_F(StoreTest, ADryRunKeepsNothing) {
  const auto version = store_.version();
  EXPECT_TRUE(
      store_.Create(At(kMaps), json::Parse(R"({"metadata":{"name":"a"}})").value(), kNow, true));
  EXPECT_EQ(store_.version(), version);
  EXPECT_FALSE(store_.Get(At(kMaps + std::string("/a"))));
}

}  // namespace
}  // namespace tessera::sim
