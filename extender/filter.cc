#include "extender/filter.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "extender/candidates.h"

namespace tessera::extender {
namespace {

/// At how many states of the cluster a pod is judged in one call.
constexpr int kMostLooks = 8;

/// A node that fits.
struct Scored {
  std::int64_t score;
  std::string_view name;

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

FilterResult Passing(const ExtenderArgs& args, std::vector<std::string> names) {
  FilterResult result{.node_names = std::move(names)};
  AttachObjects(args, result);
  return result;
}

/// The names of the best `limit`, best first; 0: of all.
std::vector<std::string> Best(std::vector<Scored> fitting, int limit) {
  const std::size_t count =
      limit <= 0 ? fitting.size() : std::min(fitting.size(), static_cast<std::size_t>(limit));
  const auto end = fitting.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(fitting.begin(), end, fitting.end());
  std::vector<std::string> names;
  for (auto scored = fitting.begin(); scored != end; ++scored) names.emplace_back(scored->name);
  return names;
}

}  // namespace

Filter::Filter(Cache& cache, Ranking& ranking, VerdictCache& verdicts, Options options,
               std::function<bool()> synced, OnRejected on_rejected)
    : cache_(cache),
      ranking_(ranking),
      verdicts_(verdicts),
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

struct Filter::Judgement {
  std::vector<Scored> fitting;
  Reasons reasons;
};

Filter::Judgement Filter::Judge(const ExtenderArgs& args,
                                const std::shared_ptr<const Snapshot>& snapshot) const {
  Judgement judgement;
  auto verdicts = verdicts_.Read(args.pod.request, snapshot, ranking_.model());
  JudgeAll(args, verdicts, [&](std::string_view name, const Verdict& verdict) {
    if (verdict.fits) {
      judgement.fitting.push_back({verdict.score, name});
    } else {
      judgement.reasons.Add(name, verdict);
    }
  });
  return judgement;
}

Result<FilterResult> Filter::Handle(const ExtenderArgs& args) const {
  if (!synced_()) return Fail(Errc::kUnavailable, "cache not synced");
  const binpack::PodRequest& request = args.pod.request;
  if (request.containers.empty()) return Passing(args, AllNames(args));
  if (auto sent_back = SendBack(args)) return *std::move(sent_back);
  cache_.Drop(args.pod.uid);
  auto snapshot = cache_.UpdateSnapshot();
  ranking_.Observe(args.pod.uid, request, *snapshot);
  Judgement judgement = Judge(args, snapshot);
  // Ends: what is newer is asked for a few times a second at most, or is there already.
  for (int i = 0; i < kMostLooks && judgement.fitting.empty(); ++i) {
    if (!options_.is_newer || !options_.is_newer(snapshot)) break;
    snapshot = cache_.UpdateSnapshot();
    judgement = Judge(args, snapshot);
  }
  const Reasons& reasons = judgement.reasons;
  std::vector<std::string> names = Best(std::move(judgement.fitting), options_.limit);
  // A pod that the webhook has not seen cannot be bound: see Bind.
  if (args.pod.managed) cache_.Hold(args.pod.uid, names, request, args.pod.priority);
  if (names.empty() && on_rejected_) on_rejected_(reasons);
  FilterResult result = Passing(args, std::move(names));
  reasons.Write(result);
  return result;
}

}  // namespace tessera::extender
