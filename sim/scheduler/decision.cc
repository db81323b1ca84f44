#include "sim/scheduler/decision.h"

#include <algorithm>

#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

/// kube-scheduler's MaxNodeScore / MaxExtenderPriority.
constexpr std::int64_t kScoreScale = 10;

using ReasonsByNode = std::map<std::string, std::vector<std::string>>;

bool MatchesNodeSelector(const Value& pod, const NodeView& node) {
  const Value* selector = json::FindPath(pod, {"spec", "nodeSelector"});
  if (selector == nullptr || !selector->IsObject()) return true;
  return std::all_of(selector->MemberBegin(), selector->MemberEnd(), [&](const auto& member) {
    const auto label = node.labels.find(std::string(json::View(member.name)));
    return label != node.labels.end() && member.value.IsString() &&
           label->second == json::View(member.value);
  });
}

std::vector<std::string> BuiltInReasons(const Value& pod, const Resources& wanted,
                                        const NodeView& node) {
  if (node.unschedulable) return {"node(s) were unschedulable"};
  if (!MatchesNodeSelector(pod, node)) return {"node(s) didn't match Pod's node affinity/selector"};
  return InsufficientResources(wanted, node.used, node.capacity);
}

/// Removes from `feasible` what the extender refuses.
Result<void> ApplyExtenderFilter(const Value& pod, Extender& extender,
                                 std::vector<std::string>& feasible, ReasonsByNode& reasons) {
  TESSERA_TRY(const FilterAnswer answer, extender.Filter(pod, feasible));
  for (const auto& node : answer.nodes) {
    if (std::find(feasible.begin(), feasible.end(), node) == feasible.end()) {
      return Fail(Errc::kInvalidArgument, "extender claims a filtered node \"" + node +
                                              "\" which is not found in the input node list");
    }
  }
  for (const auto* failed : {&answer.failed, &answer.unresolvable}) {
    for (const auto& [node, reason] : *failed) reasons[node].push_back(reason);
  }
  feasible = answer.nodes;
  return {};
}

std::string Best(const std::vector<std::string>& feasible,
                 const std::map<std::string, std::int64_t>& answered, std::int64_t weight) {
  std::map<std::string, std::int64_t> scores;
  for (const auto& node : feasible) scores[node] = 0;
  for (const auto& [node, score] : answered) {
    if (scores.contains(node)) scores[node] += score * weight * kScoreScale;
  }
  const auto best =
      std::max_element(scores.begin(), scores.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return best->first;
}

}  // namespace

bool IsManaged(const Resources& wanted, const SchedulerPolicy& policy) {
  return std::any_of(policy.managed_resources.begin(), policy.managed_resources.end(),
                     [&](const std::string& name) { return wanted.contains(name); });
}

std::string UnschedulableMessage(std::size_t nodes, const ReasonsByNode& reasons) {
  std::map<std::string, int> counts;
  for (const auto& [node, of_node] : reasons) {
    for (const auto& reason : of_node) ++counts[reason];
  }
  std::vector<std::string> parts;
  for (const auto& [reason, count] : counts) parts.push_back(std::to_string(count) + " " + reason);
  std::sort(parts.begin(), parts.end());
  std::string message = "0/" + std::to_string(nodes) + " nodes are available";
  for (std::size_t i = 0; i < parts.size(); ++i) message += (i == 0 ? ": " : ", ") + parts[i];
  return message + ".";
}

Decision Decide(const Value& pod, const std::vector<NodeView>& nodes, Extender& extender,
                const SchedulerPolicy& policy) {
  using Kind = Decision::Kind;
  if (nodes.empty()) return {Kind::kUnschedulable, "", "no nodes available to schedule pods"};
  const Resources wanted = PodExtendedResources(pod);
  ReasonsByNode reasons;
  std::vector<std::string> feasible;
  for (const NodeView& node : nodes) {
    auto why = BuiltInReasons(pod, wanted, node);
    if (why.empty()) {
      feasible.push_back(node.name);
    } else {
      reasons[node.name] = std::move(why);
    }
  }
  const bool managed = IsManaged(wanted, policy);
  if (managed && !feasible.empty()) {
    const auto filtered = ApplyExtenderFilter(pod, extender, feasible, reasons);
    if (!filtered) return {Kind::kError, "", filtered.error().message};
  }
  if (feasible.empty()) {
    return {Kind::kUnschedulable, "", UnschedulableMessage(nodes.size(), reasons)};
  }
  if (feasible.size() == 1) return {Kind::kNode, feasible.front(), ""};
  std::map<std::string, std::int64_t> answered;
  if (managed) {
    if (auto scores = extender.Prioritize(pod, feasible)) answered = *std::move(scores);
  }
  return {Kind::kNode, Best(feasible, answered, policy.weight), ""};
}

}  // namespace tessera::sim
