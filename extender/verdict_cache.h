#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "binpack/place/score_model.h"
#include "binpack/types.h"
#include "common/base/thread_annotations.h"
#include "extender/snapshot.h"
#include "extender/verdict.h"

namespace tessera::extender {

/// Verdicts on the cluster's nodes, kept for the requests that came last, because pods come in
/// series and few nodes change between two of them. Thread-safe.
///
/// A verdict holds for one view of a node and one score model; every other is made anew when it is
/// asked for, so answers are the same as without the cache. One lock finds the request; the
/// verdicts of a request have their own, which is held while they are read and made.
class VerdictCache {
 public:
  /// 24 bytes each, and about 130 more where the pod does not fit.
  static constexpr std::size_t kMaxVerdicts = std::size_t{1} << 19;
  static constexpr std::size_t kMaxRequests = 256;

  explicit VerdictCache(std::size_t max_verdicts = kMaxVerdicts) : max_verdicts_(max_verdicts) {}

 private:
  struct Known {
    std::uint64_t version = 0;  ///< of the view; 0: none
    std::int64_t score = 0;     ///< where it fits
    std::unique_ptr<const Verdict> misfit{};
  };
  /// All that is known of one request.
  struct Verdicts {
    binpack::PodRequest request;
    std::mutex mu;
    std::shared_ptr<const binpack::ScoreModel> model TESSERA_GUARDED_BY(mu);
    std::vector<Known> by_node TESSERA_GUARDED_BY(mu);  ///< by number in the snapshot
  };

 public:
  /// The verdicts for one request on the nodes of one snapshot. One thread only; others that ask
  /// for the same request wait for its end.
  class Reader {
   public:
    /// The verdict on the node with this number, holds of this pod included. Good until the next.
    const Verdict& Of(std::size_t node);
    /// A verdict on a node that is not in the snapshot as it stands; not kept.
    Verdict Fresh(const binpack::NodeInfo& node) const;
    const Snapshot& snapshot() const { return *snapshot_; }
    /// Verdicts that Of had to make.
    std::size_t made() const { return made_; }

   private:
    friend class VerdictCache;
    Reader(std::shared_ptr<Verdicts> verdicts, std::shared_ptr<const Snapshot> snapshot,
           std::shared_ptr<const binpack::ScoreModel> model);

    std::shared_ptr<Verdicts> verdicts_;
    std::shared_ptr<const Snapshot> snapshot_;
    std::shared_ptr<const binpack::ScoreModel> model_;
    std::unique_lock<std::mutex> lock_;
    Verdict fit_{.fits = true};
    std::size_t made_ = 0;
  };

  Reader Read(const binpack::PodRequest& request, std::shared_ptr<const Snapshot> snapshot,
              std::shared_ptr<const binpack::ScoreModel> model);
  /// Requests that verdicts are kept for.
  std::size_t requests() const;

 private:
  std::shared_ptr<Verdicts> Find(const binpack::PodRequest& key, std::size_t nodes);

  const std::size_t max_verdicts_;
  mutable std::mutex mu_;
  std::list<std::shared_ptr<Verdicts>> kept_ TESSERA_GUARDED_BY(mu_);  ///< the latest first
};

}  // namespace tessera::extender
