#include "sim/demo/flow.h"

#include <algorithm>
#include <cstdio>

#include "common/json/json.h"
#include "sim/demo/exposition.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;
using rapidjson::Value;

constexpr std::chrono::seconds kPodLimit{30};
constexpr std::chrono::seconds kMetricsLimit{10};
constexpr std::chrono::seconds kDeleteLimit{15};

/// The condition PodScheduled=False of a pod that waits, or "".
std::string WhyPending(const Value& pod) {
  const Value* conditions = json::FindPath(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->IsArray()) return "";
  for (const Value& condition : conditions->GetArray()) {
    if (TextAt(condition, {"type"}) == "PodScheduled" && TextAt(condition, {"status"}) == "False") {
      return TextAt(condition, {"reason"}) + ": " + TextAt(condition, {"message"});
    }
  }
  return "";
}

std::string NameOnly(const std::string& key) { return key.substr(key.find('/') + 1); }

bool IsRatio(double value) { return value >= 0 && value <= 1; }

}  // namespace

Result<void> Flow::Run(const fs::path& examples) {
  TESSERA_TRY(examples_, ReadExamples(examples));
  console_.Step("starting the API server and tessera-webhook");
  if (auto done = cluster_.StartControlPlane(); !done) return done;
  console_.Step("starting tessera-extender and " + std::to_string(cluster_.nodes().size()) +
                " tessera-agents");
  if (auto done = cluster_.StartComponents(); !done) return done;
  TESSERA_TRY(inventories_, cluster_.Inventories());
  TESSERA_TRY(fragmentation_before_, Fragmentation());
  cluster_.StartPods();
  if (auto done = ApplyExamples(); !done) return done;
  TryMalformedPod();
  if (auto done = WaitForPods(); !done) return done;
  TESSERA_TRY(fragmentation_after_, Fragmentation());
  ShowResult();
  Judge();
  return {};
}

Result<double> Flow::Fragmentation() {
  TESSERA_TRY(const auto page, cluster_.extender().Get("/metrics"));
  const auto ratio = FindSample(ParseExposition(page), "tessera_cluster_fragmentation_ratio");
  if (!ratio) return Fail(Errc::kNotFound, "extender: no tessera_cluster_fragmentation_ratio");
  return *ratio;
}

Result<void> Flow::ApplyExamples() {
  for (const Example& example : examples_) {
    const std::string collection = example.path.substr(0, example.path.rfind('/'));
    auto created = cluster_.client().Post(collection, json::Dump(example.asked));
    if (!created) return Wrap(created.error(), example.file);
  }
  console_.Step(std::to_string(examples_.size()) + " pods created, each through the webhook");
  return {};
}

/// A request that cannot be read must be refused where its writer sees it.
void Flow::TryMalformedPod() {
  static constexpr const char* kPod =
      R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"malformed","namespace":"default",)"
      R"("annotations":{"tessera.dev/gpu-memory":"3 apples"}},)"
      R"("spec":{"containers":[{"name":"main","image":"ghcr.io/tessera-dev/probe:0.1.0"}]}})";
  const auto created = cluster_.client().Post("/api/v1/namespaces/default/pods", kPod);
  const std::string said = created ? "it was created" : created.error().message;
  checks_.Add("a malformed request is refused by name",
              said.find("tessera.dev/gpu-memory") != std::string::npos, said);
}

/// Whether everything is known that there is to know.
Result<bool> Flow::Collect() {
  evidence_.clear();
  pending_.clear();
  bool complete = true;
  for (const Example& example : examples_) {
    if (auto done = CollectPod(example, complete); !done) return tl::make_unexpected(done.error());
  }
  return complete;
}

Result<void> Flow::CollectPod(const Example& example, bool& complete) {
  TESSERA_TRY(const auto pod, cluster_.client().Get(example.path));
  const std::string node = TextAt(pod, {"spec", "nodeName"});
  if (node.empty()) {
    pending_[example.key] = WhyPending(pod);
    complete = complete && example.must_stay_pending && !pending_[example.key].empty();
    return {};
  }
  TESSERA_TRY(auto containers, PodEvidence(pod, example.asked));
  for (ContainerEvidence& container : containers) {
    const fs::path folder = cluster_.PodsDir(node) / TextAt(pod, {"metadata", "uid"});
    container.log = (folder / (container.container + ".log")).string();
    if (const auto line = FindProbeLine(ReadText(container.log))) {
      TESSERA_TRY(container.report, ParseProbeReport(*line));
    }
    complete = complete && container.report.has_value();
    evidence_.push_back(std::move(container));
  }
  return {};
}

Result<void> Flow::WaitForPods() {
  std::size_t bound = 0;
  Result<bool> collected = false;
  const auto waited = waiter_.Until("every pod runs and its probes have spoken", kPodLimit, [&] {
    collected = Collect();
    if (evidence_.size() > bound) {
      bound = evidence_.size();
      console_.Step(std::to_string(bound) + " containers have their GPUs");
    }
    return !collected || *collected;
  });
  if (!collected) return tl::make_unexpected(collected.error());
  if (!waited && waiter_.interrupted()) return waited;
  // A time-out is no reason to stop: the table shows who is missing, and the checks fail.
  console_.Step(waited ? "all probes have spoken" : waited.error().message);
  return {};
}

void Flow::ShowResult() const {
  console_.Line("\n" + FormatTable(EvidenceTable(evidence_, inventories_)));
  for (const auto& [pod, why] : pending_) {
    console_.Line("  " + NameOnly(pod) + " is Pending. " + why);
  }
  char text[96];
  std::snprintf(text, sizeof text, "  Fragmentation of the cluster: %.4f before, %.4f after.",
                fragmentation_before_, fragmentation_after_);
  console_.Line(text);
  console_.Line("  Metrics: " + cluster_.extender().url() + "/metrics (extender)");
  for (const SimulatedNode& node : cluster_.nodes()) {
    console_.Line("           " + cluster_.agent(node.name).url() + "/metrics (agent of " +
                  node.name + ")");
  }
  console_.Line("");
}

void Flow::JudgeExample(const Example& example) {
  const auto waits = pending_.find(example.key);
  if (example.must_stay_pending) {
    const bool ok = waits != pending_.end() && waits->second.starts_with("Unschedulable: 0/");
    checks_.Add(NameOnly(example.key) + " stays Pending and its condition says why", ok,
                ok ? "" : "it was bound, or nothing was said");
  } else if (waits != pending_.end()) {
    checks_.Add(NameOnly(example.key) + " is scheduled", false, waits->second);
  }
}

void Flow::Judge() {
  for (const Example& example : examples_) JudgeExample(example);
  for (const ContainerEvidence& container : evidence_) {
    const std::string problem = LimitProblem(container);
    checks_.Add(NameOnly(container.name()) + " is held to exactly its limit", problem.empty(),
                problem);
    if (!problem.empty()) suspicious_logs_.push_back(container.log);
  }
  const std::string over = CapacityProblem(evidence_, inventories_);
  checks_.Add("no GPU is given away beyond its capacity", over.empty(), over);
  const std::string metrics = CompareMetrics();
  checks_.Add("the agents' metrics say what the containers say", metrics.empty(), metrics);
  checks_.Add("the extender tells the fragmentation before and after",
              IsRatio(fragmentation_before_) && IsRatio(fragmentation_after_) &&
                  fragmentation_after_ != fragmentation_before_);
  for (Component* component : cluster_.components()) {
    checks_.Add(component->name() + " still runs", component->alive());
  }
}

/// Metrics are read on each scrape, but an agent may learn of a pod a moment after it runs.
std::string Flow::CompareMetrics() {
  std::string problem;
  const auto agree = [&] {
    std::map<std::string, std::vector<Sample>> pages;
    for (const ContainerEvidence& container : evidence_) {
      if (!pages.contains(container.node)) {
        const auto page = cluster_.agent(container.node).Get("/metrics");
        pages[container.node] = ParseExposition(page.value_or(""));
      }
      problem = MetricsProblem(container, pages[container.node]);
      if (problem.empty()) continue;
      problem = NameOnly(container.name()) + ": " + problem;
      return false;
    }
    return true;
  };
  return waiter_.Until("metrics", kMetricsLimit, agree) ? "" : problem;
}

/// Which GPU still has memory in use, as NVML tells it through the agents; empty if none has.
std::string Flow::GpuMemoryInUse() {
  for (const auto& [node, inventory] : inventories_) {
    const auto page = ParseExposition(cluster_.agent(node).Get("/metrics").value_or(""));
    for (const auto& gpu : inventory.gpus) {
      for (const char* name :
           {"tessera_gpu_memory_used_bytes", "tessera_gpu_memory_allocated_bytes"}) {
        const auto used = FindSample(page, name, {{"gpu_uuid", gpu.uuid}});
        if (!used) return std::string(name) + " is missing for " + gpu.uuid;
        if (*used != 0) return gpu.uuid + ": " + name + " is not 0";
      }
    }
  }
  return "";
}

Result<void> Flow::CleanUp() {
  for (const Example& example : examples_) {
    const auto gone = cluster_.client().Delete(example.path);
    if (!gone && gone.error().code != Errc::kNotFound) return Wrap(gone.error(), example.file);
  }
  std::string problem;
  const auto given_back = waiter_.Until("everything is given back", kDeleteLimit, [&] {
    problem = GpuMemoryInUse();
    const auto ratio = Fragmentation();
    if (problem.empty() && (!ratio || *ratio != fragmentation_before_)) {
      problem = "the fragmentation is not what it was before";
    }
    return problem.empty();
  });
  if (!given_back && waiter_.interrupted()) return given_back;
  checks_.Add("deleted pods give everything back", given_back.has_value(),
              given_back ? "" : problem);
  return {};
}

}  // namespace tessera::sim
