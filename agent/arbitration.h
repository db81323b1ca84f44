#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/arbiter/arbiter_thread.h"
#include "agent/pod.h"
#include "common/contract/inventory.h"

namespace tessera::agent {

/// Whom the arbiter has to deal with: the containers of `pods` that share a GPU and have not ended.
/// Those too that are not known to run: the kubelet tells that a second late, and the region is
/// there as soon as one uses the GPU. Pure.
/// Shares and policies are those of the pod's limits annotation, which an administrator may change
/// while it runs, or where that is malformed or names other GPUs, of its assignment; never of a
/// region. Pods that have a GPU for themselves, or share it by MPS, are left out.
std::vector<ArbitratedContainer> ContainersToArbitrate(const std::vector<Pod>& pods,
                                                       const std::string& pods_dir);

/// The GPUs, by uuid, that the arbiter has to hear of how busy they are: healthy ones with two of
/// `containers`, or one with a share of 1 to 99 percent. None while any GPU is unhealthy: NVML,
/// held open for this, would not start anew for those who wait for it to recover. Pure.
std::set<std::string> GpusToSample(const contract::Inventory& inventory,
                                   const std::vector<ArbitratedContainer>& containers);

}  // namespace tessera::agent
