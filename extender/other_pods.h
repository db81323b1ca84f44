#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/json/json.h"
#include "common/kube/collection.h"
#include "extender/cache.h"

namespace tessera::extender {

/// What the watch selects: pods on a node that have not ended and that kPodsPath leaves out.
inline constexpr std::string_view kOtherPodsPath =
    "/api/v1/pods?labelSelector=tessera.dev%2Fmanaged%21%3Dtrue"
    "&fieldSelector=spec.nodeName%21%3D%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";

/// Sums up by node the CPU of the pods that have no GPU of ours. One thread only.
class OtherPods {
 public:
  /// Told a node's sum whenever it changes, 0 when its last pod has gone.
  using OnSum = std::function<void(const std::string& node, std::int64_t cpu_milli)>;
  /// Sums are rounded up to this, so that small pods that come and go change few of them.
  static constexpr std::int64_t kStepMilli = 100;

  explicit OtherPods(OnSum on_sum) : on_sum_(std::move(on_sum)) {}

  /// A pod, new or changed. One without a node, or that has ended, counts as gone.
  void Apply(const rapidjson::Value& pod);
  void Remove(const std::string& uid);
  std::size_t pods() const { return pods_.size(); }

 private:
  struct Sum {
    std::int64_t cpu_milli = 0;
    std::int64_t told = 0;
    int pods = 0;
  };
  using Sums = std::unordered_map<std::string, Sum>;
  struct Pod {
    Sums::value_type* node;  ///< in sums_, whose elements stay where they are
    std::int64_t cpu_milli;
  };

  void Tell(Sums::value_type& node);

  const OnSum on_sum_;
  Sums sums_;
  std::unordered_map<std::string, Pod> pods_;  ///< by uid
};

/// Gives the sums to the cache, and of lists keeps only what Apply reads. `cache` must outlive
/// them.
kube::ReflectorHandlers OtherPodHandlers(Cache& cache);

}  // namespace tessera::extender
