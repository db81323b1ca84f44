#include "extender/prioritize.h"

#include "binpack/score.h"
#include "extender/candidates.h"

namespace tessera::extender {

std::vector<HostPriority> Prioritize::Handle(const ExtenderArgs& args) const {
  std::vector<HostPriority> scores;
  if (args.pod.request.containers.empty()) {
    for (const std::string& name : AllNames(args)) scores.push_back({name, 0});
    return scores;
  }
  auto verdicts = verdicts_.Read(args.pod.request, cache_.UpdateSnapshot(), ranking_.model());
  JudgeAll(args, verdicts, [&](std::string_view name, const Verdict& verdict) {
    scores.push_back({std::string(name), binpack::ToNodeScore(verdict.score)});
  });
  return scores;
}

}  // namespace tessera::extender
