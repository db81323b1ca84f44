#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "binpack/types.h"
#include "webhook/options.h"
#include "webhook/pod_editor.h"

/// What admission does to a GPU pod, one concern each. Pure and idempotent: every mutator states
/// the wanted end through PodEditor. REQUIRES: Validate (validate.h) has passed; `request` speaks
/// of the editor's pod as it is.
namespace tessera::webhook {

/// The installer stands first among the init containers, if the delivery has one; `request` follows
/// the indexes that this moves. Call it before the others: the slots of names.h are made from final
/// indexes.
void PlaceInstaller(PodEditor& editor, binpack::PodRequest& request, const Options& options);

/// The pod says by name whom its annotations speak of, so that a container which another webhook
/// puts in front later changes nothing.
void PinContainer(PodEditor& editor, const std::optional<std::string>& annotated_container);

/// Our canonical resources in limits (and in requests where the container stated ours there), no
/// foreign ones.
void NormaliseResources(PodEditor& editor, const binpack::PodRequest& request);

/// Scheduler, runtime class and the label that watches select by.
void SetScheduling(PodEditor& editor, const Options& options);

/// The library, and one region and one limits volume for each GPU container; none of another slot
/// stays. With isolation mps the node's folder of MPS.
void PlaceVolumes(PodEditor& editor, const binpack::PodRequest& request, const Options& options);

/// Mounts and environment of the GPU containers.
void EquipContainers(PodEditor& editor, const binpack::PodRequest& request);

/// The other containers of the pod see no GPU, whatever their image says.
void HideGpus(PodEditor& editor, const binpack::PodRequest& request);
/// One container sees no GPU.
void HideGpus(PodEditor& editor, ContainerRef ref);

/// The wanted LD_PRELOAD for a container that has `current` ("" if none): ours first, once, then
/// theirs.
std::string PreloadValue(std::string_view current);

}  // namespace tessera::webhook
