#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/kube/client.h"
#include "extender/cache.h"
#include "extender/wire.h"

namespace tessera::extender {

/// The bind verb: chooses the GPUs for good and commits them with one write. Thread-safe.
///
/// The write is a Binding that carries the assignment as annotations and the pod's uid as
/// precondition, so there is no half-bound state. The GPUs are taken in the cache before the write
/// and given back if it fails. A 409 is success if the pod is on this node with this assignment.
/// Where nobody can say whether the write arrived, the GPUs stay taken until the watch tells; a pod
/// that is found gone, made anew or bound otherwise holds nothing.
/// Calling again for a bound pod is success.
class Bind {
 public:
  /// `client`, `cache` and `clock` must outlive this. `synced` says whether the cache has been
  /// filled: before that nothing is bound. Past `give_up` after its call nothing is written any
  /// more: the scheduler has stopped waiting.
  Bind(kube::Client& client, Cache& cache, const Clock& clock, std::chrono::milliseconds give_up,
       std::function<bool()> synced);
  /// Nothing, or why the pod is not bound, for the scheduler.
  Result<void> Handle(const BindingArgs& args) const;

 private:
  Result<binpack::PodRequest> RequestOf(const BindingArgs& args) const;
  Result<void> Write(const BindingArgs& args, const std::string& body) const;
  Result<void> Commit(const BindingArgs& args, const contract::Assignment& assignment) const;
  /// What the API server holds, after a write whose outcome is not plain.
  enum class Found { kBoundSo, kBoundOtherwise, kUnbound, kGone };
  Result<Found> Look(const BindingArgs& args, const std::string& assignment) const;
  Result<void> Settle(const BindingArgs& args, const std::string& assignment,
                      const Result<void>& written) const;
  Result<void> BindWithoutGpu(const BindingArgs& args) const;

  kube::Client& client_;
  Cache& cache_;
  const Clock& clock_;
  const std::chrono::milliseconds give_up_;
  const std::function<bool()> synced_;
};

}  // namespace tessera::extender
