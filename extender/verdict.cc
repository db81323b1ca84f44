#include "extender/verdict.h"

#include <utility>

#include "binpack/fit.h"
#include "binpack/score.h"

namespace tessera::extender {

Verdict Judge(const binpack::NodeInfo& node, const binpack::PodRequest& request,
              const binpack::ScoreModel& model) {
  auto fit = binpack::Fit(node, request, &model);
  if (!fit.fits()) return {.shortages = std::move(fit.shortages), .resolvable = fit.resolvable};
  const auto reservation = binpack::ReservationOf(*fit.placement, request);
  return {.fits = true,
          .score = request.node_policy == binpack::PlacementPolicy::kPack
                       ? model.Score(node, reservation)
                       : binpack::SpreadScore(node, reservation)};
}

Verdict Judge(const NodeView& view, const binpack::PodRequest& request,
              const binpack::ScoreModel& model) {
  if (!view.refusal.empty()) return {.refusal = view.refusal};
  return Judge(view.held, request, model);
}

}  // namespace tessera::extender
