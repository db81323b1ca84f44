#include "extender/prioritize.h"

#include <utility>

#include "binpack/fit.h"
#include "binpack/score.h"
#include "extender/candidates.h"

namespace tessera::extender {

Prioritize::Prioritize(Cache& cache, binpack::Workload workload, const Ranking* ranking)
    : cache_(cache), workload_(std::move(workload)), ranking_(ranking) {}

std::vector<HostPriority> Prioritize::Handle(const ExtenderArgs& args) const {
  const auto snapshot = cache_.UpdateSnapshot();
  const binpack::PodRequest& request = args.pod.request;
  std::vector<HostPriority> scores;
  for (const Candidate& candidate : CandidatesOf(args, *snapshot)) {
    HostPriority& score = scores.emplace_back(HostPriority{candidate.name, 0});
    if (!candidate.refusal.empty() || request.containers.empty()) continue;
    const auto placement = binpack::FindPlacement(candidate.node(), request);
    if (!placement) continue;
    const auto reservation = binpack::ReservationOf(*placement, request);
    score.score = binpack::ToNodeScore(
        ranking_ != nullptr ? ranking_->Score(request.node_policy, candidate.node(), reservation)
                            : binpack::FineScore(request.node_policy, candidate.node(), reservation,
                                                 workload_, candidate.fragmentation(workload_)));
  }
  return scores;
}

}  // namespace tessera::extender
