#include "extender/prioritize.h"

#include "binpack/score.h"
#include "extender/candidates.h"
#include "extender/verdict.h"

namespace tessera::extender {

std::vector<HostPriority> Prioritize::Handle(const ExtenderArgs& args) const {
  const auto snapshot = cache_.UpdateSnapshot();
  const auto model = ranking_.model();
  const binpack::PodRequest& request = args.pod.request;
  std::vector<HostPriority> scores;
  for (const Candidate& candidate : CandidatesOf(args, *snapshot)) {
    HostPriority& score = scores.emplace_back(HostPriority{candidate.name, 0});
    if (!candidate.refusal.empty() || request.containers.empty()) continue;
    score.score = binpack::ToNodeScore(Judge(candidate.node(), request, *model).score);
  }
  return scores;
}

}  // namespace tessera::extender
