#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "common/base/result.h"
#include "extender/cache.h"
#include "extender/ranking.h"
#include "extender/reasons.h"
#include "extender/verdict_cache.h"
#include "extender/wire.h"

namespace tessera::extender {

/// The filter verb: who fits, the best few of them, and why the others do not. Thread-safe.
///
/// The best node's GPUs are held for the pod, so that pods filtered before it is bound do not count
/// on them. A pod whose bind began already is sent back to its node. Pods that ask for no GPU pass
/// everywhere.
class Filter {
 public:
  struct Options {
    int limit = 8;  ///< how many nodes pass at most; 0: all that fit
    /// Asked before a pod is told that nothing fits: is there a newer state than this one? May wait
    /// for it. Empty: there is not.
    std::function<bool(const std::shared_ptr<const Snapshot>&)> is_newer{};
  };
  /// Told about each rejected pod's reasons.
  using OnRejected = std::function<void(const Reasons&)>;

  /// The first three must outlive this; `ranking` learns from the pods. `synced` says whether the
  /// cache has been filled.
  Filter(Cache& cache, Ranking& ranking, VerdictCache& verdicts, Options options,
         std::function<bool()> synced, OnRejected on_rejected);
  Result<FilterResult> Handle(const ExtenderArgs& args) const;

 private:
  /// Who fits, and why the others do not.
  struct Judgement;
  Judgement Judge(const ExtenderArgs& args, const std::shared_ptr<const Snapshot>& snapshot) const;
  std::optional<Result<FilterResult>> SendBack(const ExtenderArgs& args) const;

  Cache& cache_;
  Ranking& ranking_;
  VerdictCache& verdicts_;
  const Options options_;
  const std::function<bool()> synced_;
  const OnRejected on_rejected_;
};

}  // namespace tessera::extender
