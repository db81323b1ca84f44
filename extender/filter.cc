#include "extender/filter.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "extender/candidates.h"
#include "extender/verdict.h"

namespace tessera::extender {
namespace {

/// A node that fits.
struct Scored {
  std::int64_t score;
  std::string name;

  bool operator<(const Scored& other) const {
    return score != other.score ? score > other.score : name < other.name;
  }
};

/// The nodes' objects, if the scheduler sent objects.
void AttachObjects(const ExtenderArgs& args, FilterResult& result) {
  result.as_objects = !args.node_names.has_value();
  if (!result.as_objects) return;
  std::unordered_map<std::string_view, const std::string*> objects;
  for (const WireNode& node : args.nodes) objects.emplace(node.name, &node.object);
  for (const std::string& name : result.node_names)
    result.node_objects.push_back(*objects.at(name));
}

std::vector<std::string> AllNames(const ExtenderArgs& args) {
  if (args.node_names) return *args.node_names;
  std::vector<std::string> names;
  for (const WireNode& node : args.nodes) names.push_back(node.name);
  return names;
}

FilterResult Passing(const ExtenderArgs& args, std::vector<std::string> names) {
  FilterResult result{.node_names = std::move(names)};
  AttachObjects(args, result);
  return result;
}

}  // namespace

Filter::Filter(Cache& cache, Ranking& ranking, Options options, std::function<bool()> synced,
               OnRejected on_rejected)
    : cache_(cache),
      ranking_(ranking),
      options_(options),
      synced_(std::move(synced)),
      on_rejected_(std::move(on_rejected)) {}

std::optional<Result<FilterResult>> Filter::SendBack(const ExtenderArgs& args) const {
  const auto node = cache_.NodeOf(args.pod.uid);
  if (!node) return std::nullopt;
  const auto names = AllNames(args);
  if (std::find(names.begin(), names.end(), *node) != names.end()) return Passing(args, {*node});
  if (cache_.AbandonPod(args.pod.uid)) return std::nullopt;
  return Fail(Errc::kConflict, "pod " + args.pod.key() + " is being bound to node " + *node);
}

Result<FilterResult> Filter::Handle(const ExtenderArgs& args) const {
  if (!synced_()) return Fail(Errc::kUnavailable, "cache not synced");
  const binpack::PodRequest& request = args.pod.request;
  if (request.containers.empty()) return Passing(args, AllNames(args));
  if (auto sent_back = SendBack(args)) return *std::move(sent_back);
  cache_.Drop(args.pod.uid);
  const auto snapshot = cache_.UpdateSnapshot();
  ranking_.Observe(args.pod.uid, request, *snapshot);
  const auto model = ranking_.model();
  std::vector<Scored> fitting;
  Reasons reasons;
  for (const Candidate& candidate : CandidatesOf(args, *snapshot)) {
    if (!candidate.refusal.empty()) {
      reasons.Add(candidate.name, candidate.refusal, candidate.resolvable);
      continue;
    }
    const Verdict verdict = Judge(candidate.node(), request, *model);
    if (verdict.fits) {
      fitting.push_back({verdict.score, candidate.name});
    } else {
      reasons.Add(candidate.name, verdict.shortages, verdict.resolvable);
    }
  }
  const bool all =
      options_.limit <= 0 || fitting.size() <= static_cast<std::size_t>(options_.limit);
  const auto best = all ? fitting.end() : fitting.begin() + options_.limit;
  std::partial_sort(fitting.begin(), best, fitting.end());
  std::vector<std::string> names;
  for (auto scored = fitting.begin(); scored != best; ++scored) names.push_back(scored->name);
  // A pod that the webhook has not seen cannot be bound: see Bind.
  if (args.pod.managed) cache_.Hold(args.pod.uid, names, request);
  if (names.empty() && on_rejected_) on_rejected_(reasons);
  FilterResult result = Passing(args, std::move(names));
  reasons.Write(result);
  return result;
}

}  // namespace tessera::extender
