#include "agent/usage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/metrics.h"
#include "agent/pod_store.h"
#include "agent/wire.h"
#include "common/json/json.h"
#include "interceptor/region/account.h"
#include "interceptor/region/owner.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kMib = std::int64_t{1} << 20;

/// A pod with one container on one GPU.
Pod OnePod(const std::string& name, const std::string& gpu = "GPU-a") {
  Pod pod;
  pod.uid = "uid-" + name;
  pod.space = "ns";
  pod.name = name;
  pod.containers["c0"] = {"main", true};
  pod.assignment.emplace().node = "n1";
  binpack::ContainerPlacement placement;
  placement.devices.push_back({gpu, 3000, 50});
  pod.assignment->placement.containers.push_back(placement);
  return pod;
}

/// A region as the interceptor makes it, with no process attached.
std::unique_ptr<region::Layout> GoodRegion(const std::string& uuid, std::uint64_t launches) {
  auto layout = std::make_unique<region::Layout>();
  std::memset(static_cast<void*>(layout.get()), 0, sizeof(region::Layout));
  layout->header.magic = region::kMagic;
  layout->header.version = region::kVersion;
  layout->header.size = sizeof(region::Layout);
  layout->header.device_count = 1;
  std::strncpy(layout->devices[0].uuid, uuid.c_str(), region::kUuidSize - 1);
  layout->devices[0].limit_bytes = 3000 * kMib;
  layout->devices[0].cores_percent = 50;
  layout->lanes[0][0].launches = launches;
  layout->lanes[0][0].denied = 2;
  layout->devices[0].pace.used_ns = 7;
  layout->devices[0].pace.throttled_ns = 5;
  layout->devices[0].context_bytes = 518 << 20;
  return layout;
}

class Regions : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/pods.XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// The place of a pod's region file, its folder made.
  std::string Place(const Pod& pod) {
    const std::string path = RegionPath(folder_, pod.uid, "c0");
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    return path;
  }
  void Write(const Pod& pod, const region::Layout& layout) {
    std::ofstream(Place(pod), std::ios::binary)
        .write(reinterpret_cast<const char*>(&layout), sizeof layout);
  }

  std::string folder_;
};

TEST_F(Regions, AGoodRegionTellsUse) {
  const Pod pod = OnePod("a");
  Write(pod, *GoodRegion("GPU-a", 7));
  const auto usages = UsageReader(folder_).Read({pod});
  ASSERT_EQ(usages.size(), 1U);
  EXPECT_TRUE(usages[0].attached);
  EXPECT_EQ(usages[0].container, "main");
  ASSERT_EQ(usages[0].devices.size(), 1U);
  EXPECT_EQ(usages[0].devices[0].launches, 7U);
  EXPECT_EQ(usages[0].devices[0].denied, 2U);
  EXPECT_EQ(usages[0].devices[0].gpu_time_ns, 7U);
  EXPECT_EQ(usages[0].devices[0].throttled_ns, 5U);
  EXPECT_EQ(usages[0].devices[0].context_bytes, 518U << 20);
  EXPECT_EQ(usages[0].devices[0].limit_mib, 3000);
}

TEST_F(Regions, HostMemoryIsToldApart) {
  Pod pod = OnePod("a");
  pod.assignment->placement.containers[0].devices[0].host_memory_mib = 4096;
  auto layout = GoodRegion("GPU-a", 7);
  layout->owners[0].identity = region::PackIdentity(1, 1);
  region::Add(*layout, 0, 0, 100, kMib);
  region::Add(*layout, 0, region::HostAccountOf(0), 200, kMib);
  Write(pod, *layout);
  // The slot's lock tells whether its owner lives, and nobody holds this one: as if he had died.
  const auto dead = UsageReader(folder_).Read({pod});
  ASSERT_TRUE(dead[0].attached);
  EXPECT_EQ(dead[0].devices[0].host_limit_mib, 4096);
  EXPECT_EQ(dead[0].devices[0].host_used_bytes, 0U);
  const int fd = open(Place(pod).c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(region::LockSlot(fd, 0), region::SlotLock::kLocked);
  const auto alive = UsageReader(folder_).Read({pod});
  close(fd);
  EXPECT_EQ(alive[0].devices[0].used_bytes, 100U);
  EXPECT_EQ(alive[0].devices[0].host_used_bytes, 200U);
}

TEST_F(Regions, NoRegionIsNotAttachedButTheLimitIsKnown) {
  const auto usages = UsageReader(folder_).Read({OnePod("a")});
  ASSERT_EQ(usages.size(), 1U);
  EXPECT_FALSE(usages[0].attached);
  EXPECT_FALSE(usages[0].region_bad);
  EXPECT_EQ(usages[0].devices[0].limit_mib, 3000);
}

TEST_F(Regions, NoHostileFileHidesTheNextTenant) {
  const struct {
    const char* name;
    std::function<void(const std::string& path)> make;
  } cases[] = {
      {"symbolic link",
       [&](const std::string& path) { std::filesystem::create_symlink("/etc/passwd", path); }},
      {"dangling link",
       [&](const std::string& path) { std::filesystem::create_symlink("/nowhere", path); }},
      {"pipe", [](const std::string& path) { ASSERT_EQ(mkfifo(path.c_str(), 0666), 0); }},
      {"folder", [](const std::string& path) { std::filesystem::create_directory(path); }},
      {"empty", [](const std::string& path) { std::ofstream{path}; }},
      {"truncated",
       [](const std::string& path) { std::ofstream(path) << "TSREGION and then nothing"; }},
      {"huge",
       [](const std::string& path) {
         std::ofstream{path};
         ASSERT_EQ(truncate(path.c_str(), off_t{1} << 40), 0);
       }},
      {"scribbled",
       [](const std::string& path) {
         std::ofstream(path, std::ios::binary) << std::string(sizeof(region::Layout), '\xff');
       }},
      {"zeros",
       [](const std::string& path) {
         std::ofstream(path, std::ios::binary) << std::string(sizeof(region::Layout), '\0');
       }},
      {"a folder in the place of the volume's parent",
       [](const std::string& path) {
         const auto volume = std::filesystem::path(path).parent_path();
         std::filesystem::remove(volume);
         std::ofstream{volume};
       }},
  };
  const Pod good = OnePod("zz-good");
  Write(good, *GoodRegion("GPU-a", 7));
  int number = 0;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const Pod bad = OnePod("bad" + std::to_string(number++));
    c.make(Place(bad));
    const auto usages = UsageReader(folder_).Read({bad, good});
    ASSERT_EQ(usages.size(), 2U);
    EXPECT_FALSE(usages[0].attached);
    EXPECT_TRUE(usages[0].region_bad);
    EXPECT_TRUE(usages[1].attached);
    EXPECT_EQ(usages[1].devices[0].launches, 7U);
  }
}

TEST_F(Regions, ATenantCannotSpeakOfAGpuThatItWasNotGiven) {
  const Pod pod = OnePod("a", "GPU-a");
  Write(pod, *GoodRegion("GPU-of-somebody-else", 7));
  const auto usages = UsageReader(folder_).Read({pod});
  ASSERT_EQ(usages[0].devices.size(), 1U);
  EXPECT_EQ(usages[0].devices[0].uuid, "GPU-a");
  EXPECT_EQ(usages[0].devices[0].launches, 0U);
}

TEST(RegionPath, FollowsTheKubeletsLayoutAndNoTricks) {
  EXPECT_EQ(RegionPath("/pods", "u", "i2"),
            "/pods/u/volumes/kubernetes.io~empty-dir/tessera-region-i2/region");
  for (const char* uid : {"", ".", "..", "a/b", "../x"})
    EXPECT_EQ(RegionPath("/pods", uid, "c0"), "");
}

// --- Pods
// --------------------------------------------------------------------------------------------

std::string PodJson(const std::string& annotation, const std::string& phase) {
  return R"({"metadata":{"uid":"u1","namespace":"ns","name":"p","annotations":{"tessera.dev/assignment":)" +
         annotation +
         R"(}},"spec":{"initContainers":[{"name":"warm"}],"containers":[{"name":"main"},{"name":"side"}]},)" +
         R"("status":{"phase":")" + phase +
         R"(","containerStatuses":[{"name":"main","state":{"running":{}}},{"name":"side","state":{"waiting":{}}}]}})";
}

std::string Quoted(const std::string& text) {
  json::Writer writer;
  writer.String(text);
  return writer.Take();
}

TEST(DecodePod, KnowsContainersBySlotAndWhichOfThemRun) {
  const auto text = contract::EncodeAssignment(*OnePod("p").assignment);
  const auto pod = DecodePod(json::Parse(PodJson(Quoted(text), "Running")).value());
  ASSERT_TRUE(pod.has_value()) << pod.error().message;
  EXPECT_EQ(pod->containers.at("i0").name, "warm");
  EXPECT_TRUE(pod->containers.at("c0").running);
  EXPECT_FALSE(pod->containers.at("c1").running);
  EXPECT_EQ(pod->assignment, OnePod("p").assignment);
  EXPECT_FALSE(pod->finished);
}

TEST(DecodePod, AnUnreadableAssignmentIsKeptAsSuch) {
  for (const char* annotation : {"\"{\"", "\"{}\"", "7", "\"\""}) {
    const auto pod = DecodePod(json::Parse(PodJson(annotation, "Running")).value());
    ASSERT_TRUE(pod.has_value()) << pod.error().message;
    EXPECT_FALSE(pod->assignment.has_value());
    EXPECT_THAT(pod->assignment_error, HasSubstr("annotation tessera.dev/assignment"))
        << annotation;
  }
}

TEST(DecodePod, ErrorsNameTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "metadata is missing"},
      {R"({"metadata":{"name":"p"}})", "uid is missing"},
      {R"({"metadata":{"uid":"u"}})", "name is missing"},
      {R"({"metadata":{"uid":"u","name":"p"},"spec":{"containers":{}}})",
       "spec.containers must be an array"},
      {R"({"metadata":{"uid":"u","name":"p"},"spec":{"containers":[{"name":1}]}})",
       "spec.containers[0]: name must be a string"}};
  for (const auto& [text, want] : cases) {
    const auto pod = DecodePod(json::Parse(text).value());
    ASSERT_FALSE(pod.has_value()) << text;
    EXPECT_THAT(pod.error().message, HasSubstr(want));
  }
}

TEST(DecodeNode, TakesOurResourcesOnly) {
  const auto node = DecodeNode(
      json::Parse(
          R"({"metadata":{"annotations":{"tessera.dev/inventory":"x"}},)"
          R"("status":{"capacity":{"cpu":"8","tessera.dev/gpu":"200","tessera.dev/gpu-cores":200}}})")
          .value());
  ASSERT_TRUE(node.has_value());
  EXPECT_EQ(node->inventory, "x");
  EXPECT_EQ(node->capacity.size(), 2U);
  EXPECT_EQ(node->capacity.at("tessera.dev/gpu-cores"), "200");
  EXPECT_FALSE(DecodeNode(json::Parse("[]").value()).has_value());
}

TEST(PodStore, KeepsGpuPodsUntilTheyEnd) {
  PodStore store;
  Pod plain = OnePod("plain");
  plain.assignment.reset();
  store.Upsert(plain);
  store.Upsert(OnePod("gpu"));
  EXPECT_EQ(store.List().size(), 1U);
  Pod ended = OnePod("gpu");
  ended.finished = true;
  store.Upsert(ended);
  EXPECT_TRUE(store.List().empty());
  store.Upsert(OnePod("gpu"));
  store.Remove("ns/gpu");
  store.Remove("ns/gpu");
  EXPECT_TRUE(store.List().empty());
}

// --- Metrics
// -----------------------------------------------------------------------------------------

NodeState State() {
  NodeState state;
  state.node = "n1";
  state.nvml_up = true;
  for (const char* uuid : {"GPU-a", "GPU-b"}) {
    binpack::GpuDevice gpu;
    gpu.uuid = uuid;
    gpu.index = static_cast<int>(state.inventory.gpus.size());
    gpu.model = "Model \"X\"";
    gpu.memory_mib = 24000;
    state.inventory.gpus.push_back(gpu);
    GpuReading reading;
    reading.uuid = uuid;
    reading.memory_used_bytes = 1000;
    state.reading.gpus.push_back(reading);
  }
  return state;
}

std::string Text(const NodeState& state) { return RenderFamilies(state); }

TEST(Metrics, AllocationIsTheReservationOfThePods) {
  NodeState state = State();
  state.pods = {OnePod("a"), OnePod("b")};
  const std::string text = Text(state);
  EXPECT_THAT(
      text,
      HasSubstr("tessera_gpu_memory_allocated_bytes{node=\"n1\",gpu_uuid=\"GPU-a\"} 6291456000\n"));
  EXPECT_THAT(text,
              HasSubstr("tessera_gpu_memory_allocated_bytes{node=\"n1\",gpu_uuid=\"GPU-b\"} 0\n"));
  EXPECT_THAT(text,
              HasSubstr("tessera_gpu_cores_allocated_ratio{node=\"n1\",gpu_uuid=\"GPU-a\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tessera_gpu_shared_pods{node=\"n1\",gpu_uuid=\"GPU-a\"} 2\n"));
  EXPECT_THAT(
      text,
      HasSubstr("tessera_gpu_memory_capacity_bytes{node=\"n1\",gpu_uuid=\"GPU-a\"} 25165824000\n"));
  EXPECT_THAT(text,
              HasSubstr("tessera_gpu_memory_used_bytes{node=\"n1\",gpu_uuid=\"GPU-b\"} 1000\n"));
}

TEST(Metrics, ASickGpuIsZeroAndTellsNoUse) {
  NodeState state = State();
  state.inventory.gpus[1].healthy = false;
  state.reading.gpus[1].trouble = "lost";
  const std::string text = Text(state);
  EXPECT_THAT(text, HasSubstr("tessera_gpu_healthy{node=\"n1\",gpu_uuid=\"GPU-b\"} 0\n"));
  EXPECT_THAT(text,
              Not(HasSubstr("tessera_gpu_memory_used_bytes{node=\"n1\",gpu_uuid=\"GPU-b\"}")));
}

TEST(Metrics, ARunningContainerWithoutTheInterceptorIsZero) {
  NodeState state = State();
  UsageReader reader("/nowhere");
  Pod waiting = OnePod("waiting");
  waiting.containers["c0"].running = false;
  state.pods = {OnePod("a"), waiting};
  state.containers = reader.Read(state.pods);
  const std::string text = Text(state);
  EXPECT_THAT(text, HasSubstr("tessera_interceptor_attached{node=\"n1\",namespace=\"ns\",pod=\"a\","
                              "container=\"main\"} 0\n"));
  EXPECT_THAT(
      text,
      Not(HasSubstr("tessera_interceptor_attached{node=\"n1\",namespace=\"ns\",pod=\"waiting\"")));
  EXPECT_THAT(text,
              HasSubstr("tessera_container_gpu_memory_limit_bytes{node=\"n1\",gpu_uuid=\"GPU-a\","
                        "namespace=\"ns\",pod=\"waiting\",container=\"main\"} 3145728000\n"));
}

TEST(Metrics, HostMemoryHasSeriesWhereThereIsSome) {
  NodeState state = State();
  UsageReader reader("/nowhere");
  Pod more = OnePod("more");
  more.assignment->placement.containers[0].devices[0].host_memory_mib = 4096;
  state.pods = {OnePod("plain"), more};
  state.containers = reader.Read(state.pods);
  state.containers[1].devices[0].host_used_bytes = 1000;
  const std::string text = Text(state);
  const std::string labels =
      "{node=\"n1\",gpu_uuid=\"GPU-a\",namespace=\"ns\",pod=\"more\",container=\"main\"}";
  EXPECT_THAT(text, HasSubstr("\ntessera_container_gpu_host_memory_limit_bytes" + labels +
                              " 4294967296\n"));
  EXPECT_THAT(text,
              HasSubstr("\ntessera_container_gpu_host_memory_used_bytes" + labels + " 1000\n"));
  for (const auto& family : BuildFamilies(state)) {
    if (family.name.find("host_memory") == std::string::npos) continue;
    EXPECT_EQ(family.metric.size(), 1U) << family.name;
  }
}

TEST(Metrics, SeriesVanishWithThePod) {
  NodeState state = State();
  UsageReader reader("/nowhere");
  state.pods = {OnePod("a")};
  state.containers = reader.Read(state.pods);
  EXPECT_THAT(Text(state), HasSubstr("pod=\"a\""));
  state.pods.clear();
  state.containers.clear();
  EXPECT_THAT(Text(state), Not(HasSubstr("pod=\"a\"")));
  EXPECT_THAT(Text(state),
              HasSubstr("tessera_gpu_memory_allocated_bytes{node=\"n1\",gpu_uuid=\"GPU-a\"} 0\n"));
}

TEST(Metrics, EqualLabelsAreNeverWrittenTwice) {
  NodeState state = State();
  UsageReader reader("/nowhere");
  Pod pod = OnePod("a");
  auto& containers = pod.assignment->placement.containers;
  containers[0].devices.push_back(containers[0].devices[0]);
  containers.push_back(containers[0]);
  state.pods = {pod};
  state.containers = reader.Read(state.pods);
  state.inventory.gpus.push_back(state.inventory.gpus[0]);
  for (const auto& family : BuildFamilies(state)) {
    std::set<std::string> seen;
    for (const auto& metric : family.metric) {
      std::string key;
      for (const auto& label : metric.label) key += label.name + "=" + label.value + ";";
      EXPECT_TRUE(seen.insert(key).second) << family.name << " " << key;
    }
  }
}

TEST(Metrics, UnreadableThingsAreCounted) {
  NodeState state = State();
  Pod broken = OnePod("broken");
  broken.assignment.reset();
  broken.assignment_error = "annotation tessera.dev/assignment: version is missing";
  state.pods = {broken, OnePod("a")};
  ContainerUsage bad;
  bad.region_bad = true;
  state.containers = {bad};
  const std::string text = Text(state);
  EXPECT_THAT(text, HasSubstr("tessera_agent_regions_unreadable{node=\"n1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tessera_agent_assignments_unreadable{node=\"n1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tessera_gpu_shared_pods{node=\"n1\",gpu_uuid=\"GPU-a\"} 1\n"));
}

}  // namespace
}  // namespace tessera::agent
