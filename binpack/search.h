#pragma once

#include <optional>
#include <vector>

#include "binpack/gpu_preference.h"
#include "binpack/node.h"
#include "binpack/types.h"

namespace tessera::binpack {

/// One search for a placement of one pod on one node; see Fit. One thread only, one Run.
///
/// App containers and sidecars are placed first and init containers last, so that these can go
/// where the pod holds most already. GPUs are tried in the order of preference; a choice that
/// leaves a later container without room is taken back. GPUs that the pod has not touched and that
/// are alike count as one choice.
class Search {
 public:
  /// All must outlive this. `preference` may be null; it speaks before tightness where a container
  /// of a pod that packs asks for one GPU.
  Search(const NodeInfo& node, const PodRequest& request, const GpuPreference* preference,
         int max_steps);
  std::optional<Placement> Run();

 private:
  /// What the pod holds of one GPU so far.
  struct Held {
    Amount app;
    Amount sidecars;
    Amount peak;  ///< by Kubernetes' rule
    bool touched = false;
  };
  struct Candidate {
    std::size_t device;     ///< in node.devices
    Amount amount;          ///< that the container would take
    Amount growth;          ///< of the pod's reservation on this GPU
    std::int64_t loss = 0;  ///< by the preference
  };
  using Candidates = std::vector<Candidate>;

  bool PlaceFrom(std::size_t position);
  bool Choose(std::size_t position, const Candidates& candidates, std::size_t first, int missing);
  Candidates CandidatesFor(const ContainerRequest& container) const;
  void Rate(const ContainerRequest& container, Candidates& candidates) const;
  std::vector<Candidates> Groups(const ContainerRequest& container) const;
  Amount PeakWith(const ContainerRequest& container, std::size_t device,
                  const Amount& amount) const;
  /// Sidecars with an index below `index` on this GPU.
  Amount SidecarsBefore(int index, std::size_t device) const;
  void Take(const ContainerRequest& container, const Candidate& candidate);
  bool Prefer(const Candidate& a, const Candidate& b, bool by_growth) const;
  bool Alike(const Candidate& a, const Candidate& b) const;
  Placement Result() const;

  const NodeInfo& node_;
  const PodRequest& request_;
  const GpuPreference* preference_;
  int steps_left_;
  std::vector<bool> eligible_;                  ///< by health, selector and sharing
  std::vector<std::size_t> order_;              ///< of request.containers
  std::vector<Held> held_;                      ///< for each device
  std::vector<std::vector<Candidate>> chosen_;  ///< for each container of the request
};

}  // namespace tessera::binpack
