#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "binpack/place/learned_demand.h"
#include "binpack/place/score_model.h"
#include "common/base/thread_annotations.h"
#include "extender/snapshot.h"

namespace tessera::extender {

/// Which placement is better for pods that pack: by the value of what is left on the node to the
/// pods to come, which it learns from the pods that ask. Thread-safe.
///
/// It starts from binpack's default workload or from what was saved. Every kRefresh new pods the
/// model is made anew for the cluster as it is.
class Ranking {
 public:
  static constexpr int kRefresh = 64;
  static constexpr std::size_t kRememberedPods = 4096;

  /// `saved` is what `on_refresh` was given before a restart, or empty. `on_refresh` is told what
  /// to save, on the calling thread and without a lock.
  explicit Ranking(std::string_view saved = {},
                   std::function<void(const std::string&)> on_refresh = {});

  /// Counts the pod, once for each uid among the last kRememberedPods.
  void Observe(const std::string& uid, const binpack::PodRequest& request,
               const Snapshot& snapshot);
  /// Scores placements and prefers GPUs. Never null; before the first pod it has no opinion.
  std::shared_ptr<const binpack::ScoreModel> model() const;
  /// What to give to the constructor after a restart.
  ///
  /// Text: a line "models N", N model names, and LearnedDemand's text.
  std::string Save() const;
  /// False: what was saved could not be read, and the default was taken.
  bool restored() const { return restored_; }

 private:
  bool Restore(std::string_view saved);
  std::string SaveLocked() const;
  /// True for a pod that it has not seen lately. REQUIRES: mu_ is held.
  bool IsNew(const std::string& uid);

  const std::function<void(const std::string&)> on_refresh_;
  bool restored_ = true;
  mutable std::mutex mu_;
  binpack::LearnedDemand learned_ TESSERA_GUARDED_BY(mu_);
  binpack::ModelNames models_ TESSERA_GUARDED_BY(mu_);  ///< numbers never change
  std::shared_ptr<const binpack::ScoreModel> model_ TESSERA_GUARDED_BY(mu_);
  int until_refresh_ TESSERA_GUARDED_BY(mu_) = 0;
  std::optional<std::size_t> nodes_ TESSERA_GUARDED_BY(mu_);  ///< that the model was made for
  std::unordered_set<std::string> seen_ TESSERA_GUARDED_BY(mu_);
  std::deque<std::string> order_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::extender
