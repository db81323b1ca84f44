#include "common/contract/pod_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/pods.h"

namespace tessera::contract {
namespace {

using binpack::ComputePolicy;
using binpack::ContainerKind;
using binpack::GpuRequest;
using binpack::Isolation;
using binpack::PlacementPolicy;
using binpack::Topology;
using testing::HasSubstr;
using testing::IsEmpty;

const GpuRequest kWhole{1, 0, 100, 100};

/// `count` containers that ask for `gpus` GPUs each.
std::string Many(int count, const std::string& gpus) {
  std::string list;
  for (int i = 0; i < count; ++i) {
    list +=
        (i == 0 ? "" : ",") + Container("c" + std::to_string(i), R"("tessera.dev/gpu":)" + gpus);
  }
  return PodText("", "[" + list + "]");
}

TEST(PodRequest, MoreThanAnyPodNeedsIsRefusedSoThatNoSearchOrAssignmentGrowsWithoutBound) {
  EXPECT_TRUE(Decode(Many(32, "1")));
  EXPECT_THAT(Decode(Many(33, "1")).error().message, HasSubstr("at most 32"));
  EXPECT_TRUE(Decode(Many(4, "256")));
  EXPECT_THAT(Decode(Many(5, "256")).error().message, HasSubstr("1280 GPUs together"));
  EXPECT_TRUE(Decode(Many(500, "0"))) << "containers without a GPU do not count";
}

TEST(PodRequest, ListsOfGpusAreBoundedBecauseEachEntryIsHeldAgainstEachGpu) {
  const auto ask = [](const std::string& annotation, int entries) {
    std::string list = "x";
    for (int i = 1; i < entries; ++i) list += ",x";
    return Decode(PodText("\"" + annotation + "\":\"" + list + "\"",
                          "[" + Container("c", R"("tessera.dev/gpu":1)") + "]"));
  };
  const std::pair<const char*, int> cases[] = {{"tessera.dev/gpu-model", 64},
                                               {"nvidia.com/use-gputype", 64},
                                               {"nvidia.com/nouse-gputype", 64},
                                               {"tessera.dev/gpu-uuid", 256},
                                               {"nvidia.com/nouse-gpuuuid", 256}};
  for (const auto& [annotation, most] : cases) {
    EXPECT_TRUE(ask(annotation, most)) << annotation;
    const auto more = ask(annotation, most + 1);
    ASSERT_FALSE(more) << annotation;
    EXPECT_THAT(more.error().message, HasSubstr("at most " + std::to_string(most)));
  }
}

TEST(PodRequest, OneContainersGpuFromEveryDialect) {
  struct Case {
    std::string annotations;
    std::string limits;
    GpuRequest want;
  };
  const Case cases[] = {
      // ours, annotations
      {R"("tessera.dev/gpu-memory":"3000Mi","tessera.dev/gpu-cores":"50")", "", {1, 3000, 0, 50}},
      {R"("tessera.dev/gpu-memory":"25%","tessera.dev/gpu-cores":"50%")", "", {1, 0, 25, 50}},
      {R"("tessera.dev/gpu-memory":"3Gi")", "", {1, 3072, 0, 0}},
      {R"("tessera.dev/gpu-memory":"3000M")", "", {1, 2862, 0, 0}},
      {R"("tessera.dev/gpu-cores":"30")", "", {1, 0, 100, 30}},
      {R"("tessera.dev/gpu-count":"2")", "", {2, 0, 100, 100}},
      {R"("tessera.dev/gpu-count":"1","tessera.dev/gpu-cores":"0")", "", {1, 0, 100, 0}},
      {R"("tessera.dev/gpu-memory":"100%")", "", kWhole},
      {R"("tessera.dev/gpu-memory":" 3000Mi ")", "", {1, 3000, 0, 0}},
      // ours, resources
      {"", R"("tessera.dev/gpu":1)", kWhole},
      {"",
       R"("tessera.dev/gpu":"2","tessera.dev/gpu-memory":"3k","tessera.dev/gpu-cores":"50")",
       {2, 3000, 0, 50}},
      {"", R"("tessera.dev/gpu-memory":"3000")", {1, 3000, 0, 0}},
      {"", R"("tessera.dev/gpu-memory-percent":"25")", {1, 0, 25, 0}},
      {"", R"("tessera.dev/gpu-cores":"20")", {1, 0, 100, 20}},
      // HAMi
      {"", R"("nvidia.com/gpu":"1")", kWhole},
      {"", R"("nvidia.com/gpu":"1","nvidia.com/gpumem-percentage":"100")", kWhole},
      {"",
       R"("nvidia.com/gpu":"1","nvidia.com/gpumem":"3000","nvidia.com/gpucores":"30")",
       {1, 3000, 0, 30}},
      {"", R"("nvidia.com/gpu":"2","nvidia.com/gpumem-percentage":"50")", {2, 0, 50, 0}},
      {"", R"("nvidia.com/gpumem":"3000")", {1, 3000, 0, 0}},
      {"",
       R"("nvidia.com/gpu":"1","nvidia.com/gpumem":"3000","nvidia.com/gpumem-percentage":"50")",
       {1, 3000, 0, 0}},
      {"",
       R"("nvidia.com/gpu":"1","nvidia.com/gpumem":"0","nvidia.com/gpucores":"30")",
       {1, 0, 100, 30}},
      {"", R"("nvidia.com/gpu":"1","nvidia.com/priority":"0")", kWhole},
      // Aliyun gpushare, Volcano
      {"", R"("aliyun.com/gpu-mem":"3")", {1, 3072, 0, 0}},
      {"", R"("aliyun.com/gpu-mem":"3","aliyun.com/gpu-count":"2")", {2, 3072, 0, 0}},
      {"", R"("volcano.sh/vgpu-number":"1")", kWhole},
      {"",
       R"("volcano.sh/vgpu-number":"1","volcano.sh/vgpu-memory":"3000","volcano.sh/vgpu-cores":"50")",
       {1, 3000, 0, 50}},
      {"", R"("volcano.sh/vgpu-memory-percentage":"25")", {1, 0, 25, 0}},
      // several places that agree or add to each other
      {R"("tessera.dev/gpu-memory":"3000Mi")",
       R"("tessera.dev/gpu-memory":"3000")",
       {1, 3000, 0, 0}},
      {R"("tessera.dev/gpu-memory":"3000Mi")", R"("tessera.dev/gpu":"2")", {2, 3000, 0, 0}},
      {R"("tessera.dev/gpu-cores":"20")",
       R"("nvidia.com/gpu":"1","nvidia.com/gpumem":"10")",
       {1, 10, 0, 20}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.annotations + " / " + c.limits);
    const auto got = Decode(PodText(c.annotations, "[" + Container("main", c.limits) + "]"));
    ASSERT_TRUE(got) << got.error().message;
    ASSERT_EQ(got->containers.size(), 1u);
    EXPECT_EQ(got->containers[0].gpu, c.want);
    EXPECT_EQ(got->containers[0].name, "main");
  }
}

TEST(PodRequest, PodsThatAskForNoGpuGiveAnEmptyRequest) {
  const std::string plain = Container("a", R"("cpu":"1","memory":"1Gi")");
  for (const std::string& pod :
       {PodText("", "[" + plain + "]"), PodText("", "[]"), std::string("{}"),
        std::string(R"({"metadata":null})"),
        PodText("", "[" + Container("a", R"("nvidia.com/gpu":"0")") + "]"),
        PodText("", "[" + Container("a", R"("nvidia.com/priority":"1")") + "]"),
        PodText(R"("tessera.dev/gpu-count":"0")", "[" + plain + "]"),
        PodText(R"("tessera.dev/something-new":"1","other.io/gpu-memory":"x")",
                "[" + plain + "]")}) {
    SCOPED_TRACE(pod);
    const auto got = Decode(pod);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, binpack::PodRequest{});
  }
}

TEST(PodRequest, ListsInitContainersSidecarsAndAppContainersInOrder) {
  const std::string gpu = R"("tessera.dev/gpu-memory":"10")";
  const auto got = Decode(PodText("", "[" + Container("a", "") + "," + Container("b", gpu) + "]",
                                  "[" + Container("i", gpu) + "," + Container("none", "") + "," +
                                      Container("s", gpu, R"(,"restartPolicy":"Always")") + "]"));
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->containers.size(), 3u);
  EXPECT_EQ(got->containers[0].kind, ContainerKind::kInit);
  EXPECT_EQ(got->containers[0].index, 0);
  EXPECT_EQ(got->containers[1].kind, ContainerKind::kSidecar);
  EXPECT_EQ(got->containers[1].index, 2);
  EXPECT_EQ(got->containers[2].kind, ContainerKind::kApp);
  EXPECT_EQ(got->containers[2].index, 1);
  EXPECT_EQ(got->containers[2].name, "b");
}

TEST(PodRequest, RequestsCountWhereThereIsNoLimit) {
  const auto got = Decode(
      PodText("", R"([{"name":"a","resources":{"requests":{"tessera.dev/gpu-memory":"7"}}}])"));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->containers[0].gpu, (GpuRequest{1, 7, 0, 0}));
}

TEST(PodRequest, AnnotationsSpeakOfTheNamedContainerOrTheFirst) {
  const std::string two = "[" + Container("a", "") + "," + Container("b", "") + "]";
  const std::string ask = R"("tessera.dev/gpu-memory":"10Mi")";
  EXPECT_EQ(Decode(PodText(ask, two))->containers[0].name, "a");
  EXPECT_EQ(Decode(PodText(ask + R"(,"tessera.dev/container":"b")", two))->containers[0].name, "b");
  EXPECT_EQ(
      Decode(PodText(ask + R"(,"tessera.dev/container":"i")", two, "[" + Container("i", "") + "]"))
          ->containers[0]
          .kind,
      ContainerKind::kInit);
  const auto document = json::Parse(PodText(ask, two));
  EXPECT_EQ(AnnotatedContainer(*document).value(), "a");
  const auto silent = json::Parse(PodText("", two));
  EXPECT_EQ(AnnotatedContainer(*silent).value(), std::nullopt);
}

TEST(PodRequest, PoliciesInOurWordsAndInHamis) {
  struct Case {
    std::string annotations;
    PlacementPolicy node = PlacementPolicy::kPack;
    PlacementPolicy gpu = PlacementPolicy::kPack;
    Topology topology = Topology::kNone;
    Isolation isolation = Isolation::kShared;
  };
  const auto spread = PlacementPolicy::kSpread;
  const Case cases[] = {
      {""},
      {R"("tessera.dev/node-policy":"spread","tessera.dev/gpu-policy":"spread")", spread, spread},
      {R"("hami.io/node-scheduler-policy":"spread")", spread},
      {R"("hami.io/gpu-scheduler-policy":"spread","tessera.dev/gpu-policy":"spread")",
       PlacementPolicy::kPack, spread},
      {R"("hami.io/gpu-scheduler-policy":"binpack")"},
      {R"("tessera.dev/topology":"numa")", {}, {}, Topology::kNuma},
      {R"("nvidia.com/numa-bind":"true")", {}, {}, Topology::kNuma},
      {R"("nvidia.com/numa-bind":"false")"},
      {R"("tessera.dev/isolation":"exclusive")", {}, {}, {}, Isolation::kExclusive},
      {R"("tessera.dev/isolation":"mps")", {}, {}, {}, Isolation::kMps},
      {R"("nvidia.com/vgpu-mode":"mps")", {}, {}, {}, Isolation::kMps},
      {R"("nvidia.com/vgpu-mode":"hami-core")"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.annotations);
    const auto got =
        Decode(PodText(c.annotations, "[" + Container("a", R"("tessera.dev/gpu":"1")") + "]"));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->node_policy, c.node);
    EXPECT_EQ(got->gpu_policy, c.gpu);
    EXPECT_EQ(got->topology, c.topology);
    EXPECT_EQ(got->isolation, c.isolation);
  }
}

TEST(PodRequest, ComputePolicyFollowsCoresUnlessStated) {
  struct Case {
    std::string annotations;
    ComputePolicy want;
  };
  const Case cases[] = {
      {R"("tessera.dev/gpu-memory":"10Mi")", ComputePolicy::kBestEffort},
      {R"("tessera.dev/gpu-memory":"10Mi","tessera.dev/gpu-cores":"5")",
       ComputePolicy::kFixedShare},
      {R"("tessera.dev/gpu-count":"1")", ComputePolicy::kFixedShare},
      {R"("tessera.dev/gpu-memory":"10Mi","tessera.dev/compute-policy":"burst-share")",
       ComputePolicy::kBurstShare},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/compute-policy":"best-effort")",
       ComputePolicy::kBestEffort},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.annotations);
    const auto got = Decode(PodText(c.annotations, "[" + Container("a", "") + "]"));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->compute_policy, c.want);
  }
}

TEST(PodRequest, HostMemoryBeyondTheShareIsAskedForOfThePodsContainers) {
  struct Case {
    std::string annotations;
    bool oversubscribe;
    std::int64_t mib;
  };
  const std::string on = R"("tessera.dev/gpu-memory-oversubscribe":"true")";
  const Case cases[] = {
      {R"("tessera.dev/isolation":"shared")", false, 0},
      {R"("tessera.dev/gpu-memory-oversubscribe":"false")", false, 0},
      {on, true, 0},
      {on + R"(,"tessera.dev/gpu-host-memory":"4Gi")", true, 4096},
      {on + R"(,"tessera.dev/gpu-host-memory":"1500k")", true, 2},
      {on + R"(,"tessera.dev/gpu-host-memory":"1Pi","tessera.dev/isolation":"shared")", true,
       binpack::kMaxHostMemoryMib},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.annotations);
    for (const char* limits : {R"("tessera.dev/gpu-memory":"10")", R"("nvidia.com/gpumem":"10")",
                               R"("tessera.dev/gpu":"1")"}) {
      const auto got = Decode(PodText(c.annotations, "[" + Container("a", limits) + "]"));
      ASSERT_TRUE(got) << got.error().message;
      EXPECT_EQ(got->oversubscribe, c.oversubscribe);
      EXPECT_EQ(got->host_memory_mib, c.mib);
    }
    const auto none = Decode(PodText(c.annotations, "[" + Container("a", "") + "]"));
    ASSERT_TRUE(none) << none.error().message;
    EXPECT_EQ(*none, binpack::PodRequest{}) << "no GPU is asked for";
  }
}

TEST(PodRequest, SelectorsMatchWholeWordsInOurListsAndSubstringsInHamis) {
  const auto get = [](const std::string& annotations) {
    return Decode(PodText(annotations, "[" + Container("a", R"("tessera.dev/gpu":"1")") + "]"))
        ->selector;
  };
  auto ours =
      get(R"("tessera.dev/gpu-model":"A100, ! V100","tessera.dev/gpu-uuid":"GPU-a,!GPU-b")");
  EXPECT_EQ(ours.models_any, (std::vector<binpack::ModelPattern>{{"A100", true}}));
  EXPECT_EQ(ours.models_none, (std::vector<binpack::ModelPattern>{{"V100", true}}));
  EXPECT_EQ(ours.uuids_any, (std::vector<std::string>{"GPU-a"}));
  EXPECT_EQ(ours.uuids_none, (std::vector<std::string>{"GPU-b"}));
  auto hami = get(
      R"("nvidia.com/use-gputype":"A100,","nvidia.com/nouse-gputype":"PG5",)"
      R"("nvidia.com/use-gpuuuid":"GPU-a","nvidia.com/nouse-gpuuuid":"GPU-b,GPU-11111111-2222-3333-4444-555555555555")");
  EXPECT_EQ(hami.models_any, (std::vector<binpack::ModelPattern>{{"A100", false}}));
  EXPECT_EQ(hami.models_none, (std::vector<binpack::ModelPattern>{{"PG5", false}}));
  EXPECT_EQ(hami.uuids_any, (std::vector<std::string>{"GPU-a"}));
  EXPECT_EQ(hami.uuids_none,
            (std::vector<std::string>{"GPU-b", "GPU-11111111-2222-3333-4444-555555555555"}));
}

TEST(PodRequest, ErrorsNameTheAnnotation) {
  struct Case {
    std::string annotations;
    std::string want;
  };
  const Case cases[] = {
      {R"("tessera.dev/gpu-memory":"3 apples")",
       "annotation tessera.dev/gpu-memory: \"3 apples\" is not a quantity"},
      {R"("tessera.dev/gpu-memory":"3000")",
       "annotation tessera.dev/gpu-memory: \"3000\" is less than 1Mi"},
      {R"("tessera.dev/gpu-memory":"0%")",
       "annotation tessera.dev/gpu-memory: 0 is not from 1 to 100"},
      {R"("tessera.dev/gpu-memory":"101%")",
       "annotation tessera.dev/gpu-memory: 101 is not from 1 to 100"},
      {R"("tessera.dev/gpu-memory":"2%5%")",
       "annotation tessera.dev/gpu-memory: \"2%5\" is not a quantity"},
      {R"("tessera.dev/gpu-memory":"%")", "annotation tessera.dev/gpu-memory: \"\" is empty"},
      {R"("tessera.dev/gpu-memory":"")", "annotation tessera.dev/gpu-memory: \"\" is empty"},
      {R"("tessera.dev/gpu-memory":"8Pi")",
       "annotation tessera.dev/gpu-memory: 8589934592 is not from 1 to"},
      {R"("tessera.dev/gpu-memory":3000)", "annotation tessera.dev/gpu-memory: must be a string"},
      {R"("tessera.dev/gpu-cores":"101")",
       "annotation tessera.dev/gpu-cores: 101 is not from 0 to 100"},
      {R"("tessera.dev/gpu-cores":"-1")",
       "annotation tessera.dev/gpu-cores: \"-1\" must not be negative"},
      {R"("tessera.dev/gpu-count":"257")",
       "annotation tessera.dev/gpu-count: 257 is not from 0 to 256"},
      {R"("tessera.dev/gpu-count":"0.5")",
       "annotation tessera.dev/gpu-count: \"0.5\" is not a whole number"},
      {R"("tessera.dev/gpu-count":"0","tessera.dev/gpu-cores":"5")",
       "annotation tessera.dev/gpu-count is 0, but annotation tessera.dev/gpu-cores asks for a "
       "share of a GPU"},
      {R"("tessera.dev/container":"zz")",
       "annotation tessera.dev/container: the pod has no container \"zz\""},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/compute-policy":"fair")",
       "annotation tessera.dev/compute-policy"},
      {R"("tessera.dev/gpu-memory":"5Mi","tessera.dev/compute-policy":"fixed-share")",
       "annotation tessera.dev/compute-policy: fixed-share needs gpu-cores, but container \"a\" "
       "asks for none"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/isolation":"mig")",
       "\"mig\" is not available yet in this version"},
      {R"("tessera.dev/gpu-memory":"5Mi","tessera.dev/isolation":"mps")",
       "annotation tessera.dev/isolation: mps needs gpu-cores, which is the percentage of threads "
       "that a client gets; container \"a\" asks for none"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-count":"2","tessera.dev/isolation":"mps")",
       "mps gives a container one GPU, because each GPU has an MPS daemon of its own; container "
       "\"a\" asks for 2"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/compute-policy":"burst-share","tessera.dev/isolation":"mps")",
       "mps holds fixed shares; remove annotation tessera.dev/compute-policy"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/topology":"link")",
       "\"link\" is not available yet in this version"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/node-policy":"best")",
       "\"best\" is not one of pack, spread"},
      {R"("tessera.dev/gpu-cores":"5","hami.io/gpu-scheduler-policy":"mutex")",
       "annotation hami.io/gpu-scheduler-policy: \"mutex\" is not available yet"},
      {R"("tessera.dev/gpu-cores":"5","nvidia.com/vgpu-mode":"mig")",
       "annotation nvidia.com/vgpu-mode"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/node-policy":"pack","hami.io/node-scheduler-policy":"spread")",
       "annotation tessera.dev/node-policy and annotation hami.io/node-scheduler-policy say "
       "different things"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-model":"A,,B")",
       "annotation tessera.dev/gpu-model: \"A,,B\" has an empty entry"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-model":"A","nvidia.com/use-gputype":"A")",
       "annotation tessera.dev/gpu-model and annotation nvidia.com/use-gputype are both set"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"yes")",
       "annotation tessera.dev/gpu-memory-oversubscribe: \"yes\" is not one of true, false"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"")",
       "is not one of true, false"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"true","tessera.dev/isolation":"exclusive")",
       "annotation tessera.dev/gpu-memory-oversubscribe: only containers with isolation shared"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-host-memory":"4Gi")",
       "annotation tessera.dev/gpu-host-memory: means nothing without "
       "tessera.dev/gpu-memory-oversubscribe: \"true\""},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"false","tessera.dev/gpu-host-memory":"4Gi")",
       "annotation tessera.dev/gpu-host-memory: means nothing without"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"true","tessera.dev/gpu-host-memory":"0")",
       "annotation tessera.dev/gpu-host-memory: \"0\" is less than 1Mi"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"true","tessera.dev/gpu-host-memory":"50%")",
       "annotation tessera.dev/gpu-host-memory: \"50%\" is not a quantity"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"true","tessera.dev/gpu-host-memory":"-4Gi")",
       "annotation tessera.dev/gpu-host-memory: \"-4Gi\" must not be negative"},
      {R"("tessera.dev/gpu-cores":"5","tessera.dev/gpu-memory-oversubscribe":"true","tessera.dev/gpu-host-memory":"2Pi")",
       "annotation tessera.dev/gpu-host-memory: \"2Pi\" is more than 1Pi"},
      {R"("tessera.dev/gpu-oversubscribe":"true")",
       "annotation tessera.dev/gpu-oversubscribe: not known"},
      {R"("tessera.dev/gpu-memry":"5Mi")", "annotation tessera.dev/gpu-memry: not known"},
      {R"("tessera.dev/gpumem":"5Mi")", "annotation tessera.dev/gpumem: not known"},
      {R"("tessera.dev/contaner":"a")", "annotation tessera.dev/contaner: not known"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.annotations);
    const auto got = Decode(PodText(c.annotations, "[" + Container("a", "") + "]"));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(got.error().message, HasSubstr(c.want));
  }
}

TEST(PodRequest, ErrorsNameTheResource) {
  struct Case {
    std::string limits;
    std::string want;
  };
  const std::string at = "spec.containers[0].resources.limits[";
  const Case cases[] = {
      {R"("tessera.dev/gpu":"-1")", at + "tessera.dev/gpu]: \"-1\" must not be negative"},
      {R"("tessera.dev/gpu":"257")", at + "tessera.dev/gpu]: 257 is not from 0 to 256"},
      {R"("tessera.dev/gpu":[])", at + "tessera.dev/gpu] must be a quantity"},
      {R"("tessera.dev/gpu":1.5)", at + "tessera.dev/gpu] must be a quantity"},
      {R"("tessera.dev/gpu-memory":"2Gi")",
       at + "tessera.dev/gpu-memory]: \"2Gi\" has a suffix of bytes"},
      {R"("tessera.dev/gpu-memory":"0")", at + "tessera.dev/gpu-memory]: 0 is not from 1"},
      {R"("tessera.dev/gpu-memory":"5","tessera.dev/gpu-memory-percent":"5")",
       at + "tessera.dev/gpu-memory] says 5 MiB, but " + at +
           "tessera.dev/gpu-memory-percent] says 5%"},
      {R"("tessera.dev/gpumem":"5")", at + "tessera.dev/gpumem] is not known"},
      {R"("nvidia.com/gpumem":"zz")", at + "nvidia.com/gpumem]: \"zz\" is not a quantity"},
      {R"("nvidia.com/gpumem":"3000","tessera.dev/gpu-memory":"2000")",
       at + "tessera.dev/gpu-memory] says 2000 MiB, but " + at +
           "nvidia.com/gpumem] says 3000 MiB"},
      {R"("nvidia.com/gpucores":"200")", at + "nvidia.com/gpucores]: 200 is not from 0 to 100"},
      {R"("aliyun.com/gpu-mem":"9223372036854775807")",
       at + "aliyun.com/gpu-mem]: 4294967297 is not from"},
      {R"("nvidia.com/gpu":"0","nvidia.com/gpumem":"5")", at + "nvidia.com/gpu] is 0, but"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.limits);
    const auto got = Decode(PodText("", "[" + Container("a", c.limits) + "]"));
    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().message, HasSubstr(c.want));
  }
}

TEST(PodRequest, AnnotationAndResourceThatDifferAreBothNamed) {
  const auto got =
      Decode(PodText(R"("tessera.dev/gpu-memory":"3000Mi")",
                     "[" + Container("a", R"("tessera.dev/gpu-memory":"2000")") + "]"));
  ASSERT_FALSE(got);
  EXPECT_EQ(
      got.error().message,
      "spec.containers[0].resources.limits[tessera.dev/gpu-memory] says 2000 MiB, but annotation "
      "tessera.dev/gpu-memory says 3000 MiB");
}

TEST(PodRequest, LimitsAndRequestsThatDifferAreBothNamed) {
  const auto got =
      Decode(PodText("", R"([{"name":"a","resources":{"requests":{"tessera.dev/gpu":"1"},)"
                         R"("limits":{"tessera.dev/gpu":"2"}}}])"));
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("requests[tessera.dev/gpu] says 1"));
  EXPECT_TRUE(
      Decode(PodText("", R"([{"name":"a","resources":{"requests":{"tessera.dev/gpu-memory":"3k"},)"
                         R"("limits":{"tessera.dev/gpu-memory":"3000"}}}])")));
}

TEST(PodRequest, WrongShapesAreErrorsNotCrashes) {
  for (const char* pod :
       {"[]", "7", R"({"spec":{"containers":7}})", R"({"spec":{"containers":[7]}})",
        R"({"spec":{"containers":[{}]}})", R"({"spec":{"containers":[{"name":7}]}})",
        R"({"metadata":{"annotations":[]}})",
        R"({"metadata":{"annotations":{"tessera.dev/gpu-count":"1"}}})"}) {
    SCOPED_TRACE(pod);
    EXPECT_FALSE(Decode(pod));
  }
  EXPECT_TRUE(Decode(R"({"spec":{"containers":[{"name":"a","resources":7}]}})"))
      << "no GPU in there";
}

TEST(ForeignResources, AreThoseOfTheOtherDialectsOnly) {
  for (const char* name :
       {"nvidia.com/gpu", "nvidia.com/gpumem", "nvidia.com/gpumem-percentage",
        "nvidia.com/gpucores", "nvidia.com/priority", "aliyun.com/gpu-mem", "aliyun.com/gpu-count",
        "volcano.sh/vgpu-number", "volcano.sh/vgpu-memory", "volcano.sh/vgpu-memory-percentage",
        "volcano.sh/vgpu-cores"}) {
    EXPECT_TRUE(IsForeignGpuResource(name)) << name;
  }
  for (const char* name :
       {"", "cpu", "tessera.dev/gpu", "tessera.dev/gpu-memory", "nvidia.com/mig-1g.5gb"}) {
    EXPECT_FALSE(IsForeignGpuResource(name)) << name;
  }
}

}  // namespace
}  // namespace tessera::contract
