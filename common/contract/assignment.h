#pragma once

#include <map>
#include <string>
#include <string_view>

#include "binpack/types.h"
#include "common/base/result.h"
#include "common/contract/vocabulary.h"

namespace tessera::contract {

/// The record of a scheduling decision, in the pod annotation `tessera.dev/assignment`.
struct Assignment {
  std::string node{};
  binpack::ComputePolicy compute_policy = binpack::ComputePolicy::kFixedShare;
  binpack::Isolation isolation = binpack::Isolation::kShared;
  binpack::Placement placement{};

  bool operator==(const Assignment&) const = default;
};

/// {"version":1,"node":…,"computePolicy":"fixed-share","isolation":"shared","containers":[{"slot":"c0",
///  "kind":"app","gpus":[{"uuid":…,"memoryMiB":3000,"cores":50,"hostMemoryMiB":4096}]}]}; kind is
///  app, init or sidecar, hostMemoryMiB is left out where it is 0. Deterministic.
std::string EncodeAssignment(const Assignment& assignment);
/// Errors (kInvalidArgument) name the field. Refuses other versions.
Result<Assignment> DecodeAssignment(std::string_view text);

/// Everything that the Binding carries: the record and, for each container, its devices and limits
/// texts, with isolation mps also what its client of MPS may take.
std::map<std::string, std::string> BindingAnnotations(const Assignment& assignment);

/// The limits text of one container, what libtessera.so reads (grammar: interceptor/README.md):
///   v1 fixed-share GPU-aaa:3000:50 GPU-bbb:3000:50:4096
/// uuid:memory MiB:cores percent, and :host memory MiB where there is some beyond the share.
/// A container that reserves no cores on any of its GPUs is best-effort whatever the pod's policy
/// is. With isolation mps cores are 0 under the pod's policy, which is no share to wait for: MPS
/// holds it.
std::string EncodeLimits(binpack::ComputePolicy policy, binpack::Isolation isolation,
                         const binpack::ContainerPlacement& container);

}  // namespace tessera::contract
