#include "extender/ranking.h"

#include <charconv>
#include <utility>
#include <vector>

#include "binpack/fragmentation.h"

namespace tessera::extender {
namespace {

/// The default workload counts as so many pods seen.
constexpr std::int64_t kPriorPods = 200;

void Prime(binpack::LearnedDemand& learned) {
  std::int64_t total = 0;
  for (const auto& typical : binpack::DefaultWorkload().requests) total += typical.frequency;
  for (const auto& [gpu, frequency] : binpack::DefaultWorkload().requests) {
    const binpack::PodRequest request{.containers = {{.gpu = gpu}}};
    const binpack::PodShape shape = binpack::ShapeOf(request, {}, 0);
    for (std::int64_t i = 0; i < frequency * kPriorPods / total; ++i) learned.Observe(shape);
  }
}

/// Takes a line off the front of `text`.
std::string_view NextLine(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

Ranking::Ranking(std::string_view saved, std::function<void(const std::string&)> on_refresh)
    : on_refresh_(std::move(on_refresh)),
      model_(std::make_shared<binpack::ScoreModel>(
          binpack::Demand{}, std::span<const binpack::NodeInfo* const>{}, binpack::ModelNames{})) {
  restored_ = saved.empty() || Restore(saved);
  if (saved.empty() || !restored_) Prime(learned_);
}

bool Ranking::Restore(std::string_view saved) {
  constexpr std::string_view kModels = "models ";
  const std::string_view first = NextLine(saved);
  if (!first.starts_with(kModels)) return false;
  std::size_t count = 0;
  const auto [end, error] =
      std::from_chars(first.data() + kModels.size(), first.data() + first.size(), count);
  if (error != std::errc{} || end != first.data() + first.size() || count > binpack::kMaxModels) {
    return false;
  }
  binpack::ModelNames models;
  for (std::size_t i = 0; i < count; ++i) models.emplace_back(NextLine(saved));
  if (!learned_.Restore(saved)) return false;
  models_ = std::move(models);
  return true;
}

std::string Ranking::SaveLocked() const {
  std::string text = "models " + std::to_string(models_.size()) + "\n";
  for (const std::string& model : models_) text += model + "\n";
  return text + learned_.Save();
}

bool Ranking::IsNew(const std::string& uid) {
  if (!seen_.insert(uid).second) return false;
  order_.push_back(uid);
  if (order_.size() > kRememberedPods) {
    seen_.erase(order_.front());
    order_.pop_front();
  }
  return true;
}

void Ranking::Observe(const std::string& uid, const binpack::PodRequest& request,
                      const Snapshot& snapshot) {
  std::string saved;
  {
    const std::lock_guard lock(mu_);
    const bool is_new = IsNew(uid);
    const bool due = nodes_ != snapshot.size() || (is_new && --until_refresh_ <= 0);
    if (is_new && nodes_) {
      learned_.Observe(binpack::ShapeOf(request, model_->models(), model_->gpu_memory_mib()));
    }
    if (!due) return;
    std::vector<const binpack::NodeInfo*> nodes;
    nodes.reserve(snapshot.size());
    for (std::size_t i = 0; i < snapshot.size(); ++i) nodes.push_back(&snapshot.view(i).committed);
    binpack::AddModels(nodes, models_);
    model_ = std::make_shared<binpack::ScoreModel>(learned_.demand(), nodes, models_);
    nodes_ = snapshot.size();
    until_refresh_ = kRefresh;
    saved = SaveLocked();
  }
  if (on_refresh_) on_refresh_(saved);
}

std::shared_ptr<const binpack::ScoreModel> Ranking::model() const {
  const std::lock_guard lock(mu_);
  return model_;
}

std::string Ranking::Save() const {
  const std::lock_guard lock(mu_);
  return SaveLocked();
}

}  // namespace tessera::extender
