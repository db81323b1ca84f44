#include "common/contract/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera::contract {
namespace {

using binpack::GpuDevice;
using testing::HasSubstr;

Inventory Two() {
  return {"580.1",
          {GpuDevice{
               .uuid = "GPU-a", .index = 0, .model = "A\"100", .memory_mib = 81251, .numa_node = 0},
           GpuDevice{.uuid = "GPU-b",
                     .index = 1,
                     .model = "A100",
                     .memory_mib = 81251,
                     .numa_node = -1,
                     .healthy = false,
                     .health_reason = "XID 79"}}};
}

TEST(Inventory, WritesTheDocumentedText) {
  EXPECT_EQ(
      EncodeInventory(Two()),
      R"({"version":1,"driver":"580.1","gpus":[)"
      R"({"uuid":"GPU-a","index":0,"model":"A\"100","memoryMiB":81251,"cores":100,"numa":0,"healthy":true},)"
      R"({"uuid":"GPU-b","index":1,"model":"A100","memoryMiB":81251,"cores":100,"numa":-1,"healthy":false,)"
      R"("reason":"XID 79"}]})");
}

TEST(Inventory, ReadsBackWhatItWrote) {
  const auto read = DecodeInventory(EncodeInventory(Two()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, Two());
  EXPECT_EQ(DecodeInventory(EncodeInventory({})).value_or(Two()), Inventory{});
}

TEST(Inventory, TellsWhereMpsIsPossibleAndSaysNothingElsewhere) {
  auto inventory = Two();
  inventory.gpus[1].mps = true;
  const std::string text = EncodeInventory(inventory);
  EXPECT_THAT(text, HasSubstr(R"("numa":0,"healthy":true},)"));
  EXPECT_THAT(text, HasSubstr(R"("reason":"XID 79","mps":true})"));
  EXPECT_EQ(DecodeInventory(text).value_or(Two()), inventory);
}

TEST(Inventory, TextDoesNotDependOnTheOrderOfGpus) {
  auto turned = Two();
  std::swap(turned.gpus[0], turned.gpus[1]);
  EXPECT_EQ(EncodeInventory(turned), EncodeInventory(Two()));
}

TEST(Inventory, ErrorsNameTheField) {
  const auto gpu = [](const std::string& members) {
    return R"({"version":1,"gpus":[{)" + members + "}]}";
  };
  const std::string good =
      R"("uuid":"G","index":0,"model":"m","memoryMiB":5,"cores":100,"healthy":true)";
  ASSERT_TRUE(DecodeInventory(gpu(good)));
  struct Case {
    std::string text;
    std::string want;
  };
  const Case cases[] = {
      {"", "not JSON"},
      {"[]", "version is missing"},
      {"{}", "version is missing"},
      {R"({"version":"1"})", "version must be an integer"},
      {R"({"version":2,"gpus":[]})", "version 2 is not known"},
      {R"({"version":1})", "gpus is missing"},
      {R"({"version":1,"gpus":{}})", "gpus must be an array"},
      {R"({"version":1,"gpus":[7]})", "gpus[0] must be an object"},
      {gpu(""), "gpus[0].uuid is missing"},
      {gpu(R"("uuid":"")"), "gpus[0].uuid must be"},
      {gpu(R"("uuid":"a b")"), "gpus[0].uuid must be"},
      {gpu(R"("uuid":"a,b")"), "gpus[0].uuid must be"},
      {gpu(R"("uuid":"a:b")"), "gpus[0].uuid must be"},
      {gpu(R"("uuid":"a","index":-1)"), "gpus[0].index must be an integer from 0"},
      {gpu(R"("uuid":"a","index":0.5)"), "gpus[0].index must be an integer"},
      {gpu(R"("uuid":"a","index":0)"), "gpus[0].model is missing"},
      {gpu(R"("uuid":"a","index":0,"model":"m","memoryMiB":0)"),
       "gpus[0].memoryMiB must be an integer from 1"},
      {gpu(R"("uuid":"a","index":0,"model":"m","memoryMiB":4294967297)"),
       "gpus[0].memoryMiB must be"},
      {gpu(R"("uuid":"a","index":0,"model":"m","memoryMiB":5,"cores":0)"), "gpus[0].cores must be"},
      {gpu(R"("uuid":"a","index":0,"model":"m","memoryMiB":5,"cores":100)"),
       "gpus[0].healthy is missing"},
      {gpu(good + R"(,"numa":-2)"), "gpus[0].numa must be"},
      {gpu(good + R"(,"reason":3)"), "gpus[0].reason must be a string"},
      {R"({"version":1,"gpus":[{)" + good + "},{" + good + "}]}", "gpus[1].uuid G stands twice"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto got = DecodeInventory(c.text);
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message, HasSubstr(c.want));
    EXPECT_EQ(got.error().code, Errc::kInvalidArgument);
  }
}

TEST(Inventory, RefusesMoreGpusThanANodeHas) {
  Inventory many;
  for (int i = 0; i <= binpack::kMaxGpusPerNode; ++i) {
    many.gpus.push_back(
        {.uuid = "G" + std::to_string(i), .index = i, .model = "m", .memory_mib = 1});
  }
  EXPECT_FALSE(DecodeInventory(EncodeInventory(many)));
  many.gpus.pop_back();
  EXPECT_TRUE(DecodeInventory(EncodeInventory(many)));
}

}  // namespace
}  // namespace tessera::contract
