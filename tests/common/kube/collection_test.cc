#include "common/kube/collection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "common/kube/object.h"

namespace tessera::kube {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::string Object(const std::string& name, const std::string& uid, const std::string& version) {
  return R"({"metadata":{"namespace":"ns","name":")" + name + R"(","uid":")" + uid +
         R"(","resourceVersion":")" + version + "\"}}";
}

class CollectionTest : public testing::Test {
 protected:
  void Replace(const std::string& version, const std::vector<std::string>& objects) {
    std::string items;
    for (const std::string& object : objects) items += (items.empty() ? "" : ",") + object;
    collection_.Replace(
        {.resource_version = version, .items = json::Parse("[" + items + "]").value()});
  }
  void Apply(const std::string& type, const std::string& object) {
    collection_.Apply({.type = type, .object = json::Parse(object).value()});
  }
  std::vector<std::string> Told() { return std::exchange(told_, {}); }

  std::vector<std::string> told_;
  Collection collection_{{
      .on_upsert =
          [this](const rapidjson::Value& object) {
            told_.push_back("+" + Key(object) + "/" + std::string(Uid(object)));
          },
      .on_delete =
          [this](std::string_view key, std::string_view uid) {
            told_.push_back("-" + std::string(key) + "/" + std::string(uid));
          },
      .on_synced = [this] { told_.push_back("synced"); },
  }};
};

TEST_F(CollectionTest, AListTellsAllObjectsAndThatItIsComplete) {
  Replace("5", {Object("a", "1", "3"), Object("b", "2", "4")});
  EXPECT_THAT(Told(), ElementsAre("+ns/a/1", "+ns/b/2", "synced"));
  EXPECT_EQ(collection_.resource_version(), "5");
}

TEST_F(CollectionTest, AnEmptyListIsSyncedToo) {
  Replace("5", {});
  EXPECT_THAT(Told(), ElementsAre("synced"));
}

TEST_F(CollectionTest, ANewListTellsWhatWasMissed) {
  Replace("5", {Object("a", "1", "3"), Object("b", "2", "4"), Object("c", "3", "5")});
  Told();
  Replace("9", {Object("a", "1", "3"), Object("b", "22", "8"), Object("d", "4", "9")});
  EXPECT_THAT(Told(),
              ElementsAre("-ns/c/3", "+ns/a/1", "-ns/b/2", "+ns/b/22", "+ns/d/4", "synced"));
}

TEST_F(CollectionTest, EventsMoveTheVersion) {
  Replace("5", {});
  Told();
  Apply("ADDED", Object("a", "1", "6"));
  Apply("MODIFIED", Object("a", "1", "7"));
  Apply("BOOKMARK", R"({"metadata":{"resourceVersion":"90"}})");
  EXPECT_THAT(Told(), ElementsAre("+ns/a/1", "+ns/a/1"));
  EXPECT_EQ(collection_.resource_version(), "90");
  Apply("DELETED", Object("a", "1", "91"));
  EXPECT_THAT(Told(), ElementsAre("-ns/a/1"));
  EXPECT_EQ(collection_.resource_version(), "91");
}

TEST_F(CollectionTest, ARecreatedObjectIsADeleteAndAnUpsert) {
  Replace("5", {Object("a", "1", "3")});
  Told();
  Apply("MODIFIED", Object("a", "2", "6"));
  EXPECT_THAT(Told(), ElementsAre("-ns/a/1", "+ns/a/2"));
  Apply("DELETED", Object("a", "1", "7"));
  EXPECT_THAT(Told(), IsEmpty()) << "about the earlier object";
  Apply("DELETED", Object("a", "2", "8"));
  Apply("DELETED", Object("a", "2", "8"));
  EXPECT_THAT(Told(), ElementsAre("-ns/a/2")) << "told once";
}

TEST_F(CollectionTest, UnknownEventsAndOddObjectsDoNoHarm) {
  Replace("5", {});
  Told();
  Apply("SOMETHING", Object("a", "1", "6"));
  Apply("DELETED", "{}");
  Apply("BOOKMARK", "{}");
  EXPECT_THAT(Told(), IsEmpty());
}

}  // namespace
}  // namespace tessera::kube
