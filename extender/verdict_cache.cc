#include "extender/verdict_cache.h"

#include <algorithm>
#include <utility>

namespace tessera::extender {
namespace {

/// The request without what no verdict depends on.
binpack::PodRequest KeyOf(binpack::PodRequest request) {
  for (binpack::ContainerRequest& container : request.containers) container.name.clear();
  request.compute_policy = {};
  request.oversubscribe = false;
  request.host_memory_mib = 0;
  return request;
}

/// Few pods name the same GPUs.
bool IsWorthKeeping(const binpack::PodRequest& request) {
  return request.selector.uuids_any.empty() && request.selector.uuids_none.empty();
}

}  // namespace

VerdictCache::Reader::Reader(std::shared_ptr<Verdicts> verdicts,
                             std::shared_ptr<const Snapshot> snapshot,
                             std::shared_ptr<const binpack::ScoreModel> model)
    : verdicts_(std::move(verdicts)),
      snapshot_(std::move(snapshot)),
      model_(std::move(model)),
      lock_(verdicts_->mu) {
  if (verdicts_->model != model_) {
    verdicts_->by_node.clear();
    verdicts_->model = model_;
  }
  verdicts_->by_node.resize(snapshot_->size());
}

const Verdict& VerdictCache::Reader::Of(std::size_t node) {
  Known& known = verdicts_->by_node[node];
  const std::uint64_t version = snapshot_->node(node).version;
  if (known.version != version) {
    Verdict verdict = Judge(snapshot_->view(node), verdicts_->request, *model_);
    known.score = verdict.score;
    known.misfit = verdict.fits ? nullptr : std::make_unique<const Verdict>(std::move(verdict));
    known.version = version;
    ++made_;
  }
  if (known.misfit != nullptr) return *known.misfit;
  fit_.score = known.score;
  return fit_;
}

Verdict VerdictCache::Reader::Fresh(const binpack::NodeInfo& node) const {
  return Judge(node, verdicts_->request, *model_);
}

std::shared_ptr<VerdictCache::Verdicts> VerdictCache::Find(const binpack::PodRequest& key,
                                                           std::size_t nodes) {
  const std::lock_guard lock(mu_);
  const auto found = std::find_if(kept_.begin(), kept_.end(),
                                  [&](const auto& verdicts) { return verdicts->request == key; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
  } else {
    kept_.push_front(std::make_shared<Verdicts>());
    kept_.front()->request = key;
  }
  const std::size_t limit =
      std::clamp<std::size_t>(max_verdicts_ / std::max<std::size_t>(1, nodes), 1, kMaxRequests);
  while (kept_.size() > limit) kept_.pop_back();
  return kept_.front();
}

VerdictCache::Reader VerdictCache::Read(const binpack::PodRequest& request,
                                        std::shared_ptr<const Snapshot> snapshot,
                                        std::shared_ptr<const binpack::ScoreModel> model) {
  std::shared_ptr<Verdicts> verdicts;
  if (IsWorthKeeping(request)) {
    verdicts = Find(KeyOf(request), snapshot->size());
  } else {
    verdicts = std::make_shared<Verdicts>();
    verdicts->request = request;
  }
  return {std::move(verdicts), std::move(snapshot), std::move(model)};
}

std::size_t VerdictCache::requests() const {
  const std::lock_guard lock(mu_);
  return kept_.size();
}

}  // namespace tessera::extender
