#pragma once

#include <optional>
#include <string>

#include <rapidjson/document.h>

#include "binpack/types.h"
#include "common/base/result.h"
#include "common/contract/gpu_statement.h"

namespace tessera::contract {

/// A pod's annotations. Every error names the annotation.
class PodAnnotations {
 public:
  /// `pod` must outlive this.
  explicit PodAnnotations(const rapidjson::Value& pod);

  /// Refuses values that are not text, and names under tessera.dev/ that look like a slip of the
  /// pen: within two edits of one that a user may set, or beginning with "gpu". Other unknown names
  /// are left alone.
  Result<void> RefuseSlips() const;
  std::optional<std::string> Get(std::string_view name) const;

  /// gpu-count, gpu-memory, gpu-cores.
  Result<GpuStatement> ReadGpu() const;
  Result<binpack::DeviceSelector> ReadSelector() const;
  /// Nothing if the pod does not say.
  Result<std::optional<binpack::ComputePolicy>> ReadComputePolicy() const;
  /// Fills node_policy, gpu_policy, topology and isolation, in our words and in HAMi's.
  Result<void> ReadPolicies(binpack::PodRequest& request) const;
  /// Fills oversubscribe and host_memory_mib. REQUIRES: request.isolation has been read.
  Result<void> ReadOversubscription(binpack::PodRequest& request) const;

 private:
  const rapidjson::Value* annotations_;
};

}  // namespace tessera::contract
