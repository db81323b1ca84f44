#include "binpack/fit.h"

#include "binpack/search.h"

namespace tessera::binpack {
namespace {

NodeInfo Emptied(const NodeInfo& node) {
  NodeInfo empty = node;
  for (DeviceInfo& info : empty.devices) {
    info.used = {};
    info.tenants = 0;
    info.exclusive_tenants = 0;
    info.mps_tenants = 0;
  }
  return empty;
}

}  // namespace

std::optional<Placement> FindPlacement(const NodeInfo& node, const PodRequest& request,
                                       const GpuPreference* preference) {
  return Search(node, request, preference, kMaxFitSteps).Run();
}

FitResult Fit(const NodeInfo& node, const PodRequest& request, const GpuPreference* preference) {
  FitResult result{.placement = FindPlacement(node, request, preference)};
  if (result.fits()) return result;
  result.shortages = Explain(node, request);
  result.resolvable = FindPlacement(Emptied(node), request).has_value();
  return result;
}

}  // namespace tessera::binpack
