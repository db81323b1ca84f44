#pragma once

#include "binpack/types.h"
#include "common/base/result.h"
#include "webhook/options.h"
#include "webhook/pod_view.h"

namespace tessera::webhook {

/// True for a mirror pod: the kubelet runs it whatever the API server says.
bool IsMirrorPod(const PodView& pod);

/// Refuses annotations that only our scheduler may write, on any pod: the scheduler believes them.
Result<void> CheckSystemAnnotations(const PodView& pod);

/// Refuses a container without a GPU, in a pod of ours, that would write where the GPU containers'
/// limits come from or would choose GPUs by itself.
Result<void> CheckNeighbour(const Container& container, ContainerRef ref);

/// Refuses a GPU pod that would run without its limits, or past our scheduler. Errors say what to
/// change. REQUIRES: `request` is that of `pod` and asks for a GPU.
Result<void> Validate(const PodView& pod, const binpack::PodRequest& request,
                      const Options& options);

}  // namespace tessera::webhook
