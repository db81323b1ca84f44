#include "webhook/admission.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json/json.h"
#include "interceptor/region/layout.h"
#include "tests/webhook/golden.h"
#include "webhook/delivery.h"
#include "webhook/mutators.h"

namespace tessera::webhook {
namespace {

using rapidjson::Document;
using rapidjson::Value;
using ::testing::HasSubstr;

const GoldenCase& Case(const std::string& name) {
  static const auto cases = LoadGoldenCases();
  for (const GoldenCase& golden : cases) {
    if (golden.name == name) return golden;
  }
  throw std::runtime_error("no golden case " + name);
}

Decision Decide(const std::string& review, const Options& options) {
  return Admit(ParseReview(review), options);
}

/// The review after its first admission and a change by somebody else.
std::string Reinvoked(const GoldenCase& golden,
                      const std::function<void(Document&, Value&)>& change) {
  const Decision first = Decide(golden.review, golden.options);
  Document document = json::Parse(PatchReview(golden.review, first.patch)).value();
  auto& spec =
      document.FindMember("request")->value.FindMember("object")->value.FindMember("spec")->value;
  change(document, spec);
  return json::Dump(document);
}

void PushFront(Document& document, Value& spec, const char* list, const char* container) {
  Document parsed = json::Parse(container).value();
  Value copy;
  copy.CopyFrom(parsed, document.GetAllocator());
  auto& array = spec.FindMember(list)->value;
  array.PushBack(copy, document.GetAllocator());
  for (auto i = array.Size() - 1; i > 0; --i) array[i].Swap(array[i - 1]);
}

/// Region and limits of every GPU container of the patched pod belong to its own slot, and nobody
/// else sees a GPU.
void ExpectSlotsRight(const std::string& review, const Options& options) {
  const Review parsed = ParseReview(review);
  ASSERT_TRUE(parsed.request && parsed.request->asked);
  for (const auto& asked : parsed.request->asked->containers) {
    const bool app = asked.kind == binpack::ContainerKind::kApp;
    const auto& list = app ? parsed.request->pod.containers : *parsed.request->pod.init_containers;
    const Container& container = list.at(static_cast<std::size_t>(asked.index));
    const std::string slot = binpack::SlotName(asked.kind, asked.index);
    std::string text;
    for (const auto& mount : *container.mounts) text += mount.json;
    for (const auto& variable : *container.env) text += variable.json;
    EXPECT_THAT(text, HasSubstr("tessera-region-" + slot + "\""));
    EXPECT_THAT(text, HasSubstr("tessera-limits-" + slot + "\""));
    EXPECT_THAT(text, HasSubstr("tessera.dev/" + slot + "-devices"));
  }
  EXPECT_EQ(EncodePatch(Decide(review, options).patch), "[]");
}

TEST(Reinvocation, AContainerAddedInFrontMovesSlotsAndTheAnnotationStillMeansTheSame) {
  const GoldenCase& golden = Case("annotations");
  const std::string changed = Reinvoked(golden, [](Document& document, Value& spec) {
    PushFront(document, spec, "containers", R"({"name":"proxy","image":"proxy"})");
  });
  const Decision second = Decide(changed, golden.options);
  ASSERT_TRUE(second.allowed) << second.message;
  const std::string after = PatchReview(changed, second.patch);
  const Review parsed = ParseReview(after);
  ASSERT_EQ(parsed.request->asked->containers.size(), 1U);
  EXPECT_EQ(parsed.request->asked->containers[0].name, "main");
  EXPECT_EQ(parsed.request->asked->containers[0].index, 1);
  ExpectSlotsRight(after, golden.options);
  EXPECT_THAT(parsed.request->pod.containers[0].env->at(0).json, HasSubstr("void"));
}

TEST(Reinvocation, AGpuInitContainerAddedBeforeTheInstallerPutsTheInstallerFirstAgain) {
  const GoldenCase& golden = Case("delivery_init_with_init_containers");
  const std::string changed = Reinvoked(golden, [](Document& document, Value& spec) {
    PushFront(
        document, spec, "initContainers",
        R"({"name":"early","image":"x","resources":{"limits":{"tessera.dev/gpu-memory":"100"}}})");
  });
  const Decision second = Decide(changed, golden.options);
  ASSERT_TRUE(second.allowed) << second.message;
  const std::string after = PatchReview(changed, second.patch);
  const Review parsed = ParseReview(after);
  EXPECT_EQ(parsed.request->pod.init_containers->at(0).name, "tessera-install");
  EXPECT_EQ(parsed.request->pod.init_containers->at(1).name, "early");
  EXPECT_EQ(parsed.request->pod.init_containers->size(), 5U);
  ExpectSlotsRight(after, golden.options);
}

TEST(Reinvocation, APlainInitContainerInFrontLeavesTheInstallerWhereItIs) {
  const GoldenCase& golden = Case("delivery_init_with_init_containers");
  const std::string changed = Reinvoked(golden, [](Document& document, Value& spec) {
    PushFront(document, spec, "initContainers", R"({"name":"istio-init","image":"x"})");
  });
  const std::string after = PatchReview(changed, Decide(changed, golden.options).patch);
  const Review parsed = ParseReview(after);
  EXPECT_EQ(parsed.request->pod.init_containers->at(0).name, "istio-init");
  EXPECT_EQ(parsed.request->pod.init_containers->at(1).name, "tessera-install");
  ExpectSlotsRight(after, golden.options);
}

TEST(Reinvocation, DefaultsAndTokensThatTheApiServerAddsAreLeftAlone) {
  for (const char* name :
       {"annotations", "delivery_init", "delivery_hostpath", "sidecar", "hami"}) {
    SCOPED_TRACE(name);
    const GoldenCase& golden = Case(name);
    const std::string changed = Reinvoked(golden, [](Document& document, Value& spec) {
      auto& allocator = document.GetAllocator();
      for (const char* list : {"containers", "initContainers"}) {
        if (!spec.HasMember(list)) continue;
        for (Value& container : spec.FindMember(list)->value.GetArray()) {
          container.AddMember("terminationMessagePath", "/dev/termination-log", allocator);
          container.AddMember("terminationMessagePolicy", "File", allocator);
          if (!container.HasMember("volumeMounts")) {
            container.AddMember("volumeMounts", Value(rapidjson::kArrayType), allocator);
          }
          Document token =
              json::Parse(R"({"name":"kube-api-access-x","readOnly":true,)"
                          R"("mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"})")
                  .value();
          container.FindMember("volumeMounts")->value.PushBack(Value(token, allocator), allocator);
          auto resources = container.FindMember("resources");
          if (resources == container.MemberEnd()) continue;
          auto limits = resources->value.FindMember("limits");
          if (limits == resources->value.MemberEnd()) continue;
          for (auto& limit : limits->value.GetObject()) {
            if (limit.value.IsString() && json::View(limit.value) == "3000") {
              limit.value.SetString("3k", allocator);
            }
          }
        }
      }
    });
    const Decision second = Decide(changed, golden.options);
    EXPECT_TRUE(second.allowed) << second.message;
    EXPECT_EQ(EncodePatch(second.patch), "[]");
  }
}

TEST(Admission, WhatCannotBeReadIsRefused) {
  const Decision decision = Decide("{", {});
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.code, 400);
  EXPECT_EQ(OutcomeName(decision), "malformed");
}

TEST(Admission, OutcomesAreNamedForTheMetric) {
  const std::pair<const char*, const char*> cases[] = {{"no_gpu", "allowed"},
                                                       {"annotations", "patched"},
                                                       {"refuse_node_name", "refused"},
                                                       {"refuse_bad_quantity", "refused"},
                                                       {"malformed_env", "malformed"}};
  for (const auto& [name, want] : cases) {
    EXPECT_EQ(OutcomeName(Decide(Case(name).review, Case(name).options)), want) << name;
  }
}

TEST(PreloadValue, OursComesFirstAndOnce) {
  const std::string ours = "/usr/local/tessera/libtessera.so";
  const std::pair<std::string, std::string> cases[] = {{"", ours},
                                                       {"/a.so", ours + ":/a.so"},
                                                       {"/a.so /b.so", ours + ":/a.so:/b.so"},
                                                       {"/a.so:" + ours, ours + ":/a.so"},
                                                       {ours + "::/a.so:", ours + ":/a.so"},
                                                       {ours + ":" + ours, ours},
                                                       {"  ", ours},
                                                       {"/x" + ours, ours + ":/x" + ours}};
  for (const auto& [current, want] : cases) {
    EXPECT_EQ(PreloadValue(current), want) << current;
    EXPECT_EQ(PreloadValue(PreloadValue(current)), want) << current;
  }
}

TEST(Delivery, AutoAsksTheServersVersion) {
  const struct {
    const char* version;
    Delivery want;
  } cases[] = {{R"({"major":"1","minor":"35"})", Delivery::kImage},
               {R"({"major":"1","minor":"35+"})", Delivery::kImage},
               {R"({"major":"1","minor":"36"})", Delivery::kImage},
               {R"({"major":"2","minor":"0"})", Delivery::kImage},
               {R"({"major":"1","minor":"34"})", Delivery::kInit},
               {R"({"major":"1","minor":"9+"})", Delivery::kInit}};
  for (const auto& c : cases) EXPECT_EQ(DeliveryForVersion(c.version).value(), c.want) << c.version;
}

TEST(Delivery, AnAnswerThatIsNoVersionIsAnError) {
  for (const char* text : {"", "{}", R"({"major":1,"minor":"35"})", R"({"major":"1","minor":""})",
                           R"({"major":"1","minor":"x"})", R"({"major":"1","minor":"-1"})",
                           R"({"major":"1","minor":"99999999999"})"}) {
    EXPECT_FALSE(DeliveryForVersion(text).has_value()) << text;
  }
}

TEST(Delivery, NamesGoBothWays) {
  for (const Delivery delivery : {Delivery::kImage, Delivery::kInit, Delivery::kHostPath}) {
    EXPECT_EQ(ParseDelivery(DeliveryName(delivery)), delivery);
  }
  EXPECT_EQ(ParseDelivery("auto"), std::nullopt);
}

TEST(Region, SeveralRegionFilesFitIntoTheVolume) {
  EXPECT_LE(4 * sizeof(region::Layout), std::size_t{4} << 20);
}

}  // namespace
}  // namespace tessera::webhook
