#include "binpack/search.h"

#include <algorithm>
#include <tuple>

#include "binpack/selector.h"

namespace tessera::binpack {
namespace {

using Wide = __int128;

/// A sum of the shares of a capacity in both dimensions, as an exact fraction.
struct Fraction {
  Wide numerator;
  Wide denominator;
};

Fraction Share(const Amount& part, const Amount& capacity) {
  return {Wide{part.memory_mib} * capacity.cores_percent +
              Wide{part.cores_percent} * capacity.memory_mib,
          Wide{capacity.memory_mib} * capacity.cores_percent};
}

int Compare(const Fraction& a, const Fraction& b) {
  const Wide left = a.numerator * b.denominator;
  const Wide right = b.numerator * a.denominator;
  return left < right ? -1 : (left > right ? 1 : 0);
}

/// Containers whose amounts add up come first; init containers only need a peak above them.
std::vector<std::size_t> SearchOrder(const PodRequest& request) {
  std::vector<std::size_t> order;
  for (const bool init : {false, true}) {
    for (std::size_t i = 0; i < request.containers.size(); ++i) {
      if ((request.containers[i].kind == ContainerKind::kInit) == init) order.push_back(i);
    }
  }
  return order;
}

bool Eligible(const DeviceInfo& info, const PodRequest& request) {
  const bool can_mps = request.isolation != Isolation::kMps || info.device.mps;
  return info.device.healthy && can_mps && AdmitsMode(info, request.isolation) &&
         info.device.memory_mib > 0 && info.device.cores_percent > 0 &&
         Accepts(request.selector, info.device);
}

}  // namespace

Search::Search(const NodeInfo& node, const PodRequest& request, const GpuPreference* preference,
               int max_steps)
    : node_(node),
      request_(request),
      preference_(preference),
      steps_left_(max_steps),
      order_(SearchOrder(request)),
      held_(node.devices.size()),
      chosen_(request.containers.size()) {
  eligible_.reserve(node.devices.size());
  for (const DeviceInfo& info : node.devices) eligible_.push_back(Eligible(info, request));
}

std::optional<Placement> Search::Run() {
  if (!PlaceFrom(0)) return std::nullopt;
  return Result();
}

bool Search::PlaceFrom(std::size_t position) {
  if (position == order_.size()) return true;
  const ContainerRequest& container = request_.containers[order_[position]];
  for (const Candidates& group : Groups(container)) {
    if (Choose(position, group, 0, container.gpu.count)) return true;
  }
  return false;
}

bool Search::Choose(std::size_t position, const Candidates& candidates, std::size_t first,
                    int missing) {
  if (missing == 0) return PlaceFrom(position + 1);
  const std::size_t container = order_[position];
  for (std::size_t i = first; i + static_cast<std::size_t>(missing) <= candidates.size(); ++i) {
    if (i > first && Alike(candidates[i - 1], candidates[i])) continue;
    if (--steps_left_ < 0) return false;
    const Held before = held_[candidates[i].device];
    Take(request_.containers[container], candidates[i]);
    chosen_[container].push_back(candidates[i]);
    if (Choose(position, candidates, i + 1, missing - 1)) return true;
    chosen_[container].pop_back();
    held_[candidates[i].device] = before;
  }
  return false;
}

Search::Candidates Search::CandidatesFor(const ContainerRequest& container) const {
  Candidates candidates;
  candidates.reserve(node_.devices.size());
  for (std::size_t i = 0; i < node_.devices.size(); ++i) {
    if (!eligible_[i]) continue;
    const DeviceInfo& info = node_.devices[i];
    const Amount amount = Resolve(container.gpu, info.capacity(), request_.isolation);
    const Amount peak = PeakWith(container, i, amount);
    if (Within(peak, info.free())) candidates.push_back({i, amount, peak - held_[i].peak});
  }
  Rate(container, candidates);
  const bool by_growth = container.kind == ContainerKind::kInit;
  std::sort(candidates.begin(), candidates.end(),
            [&](const Candidate& a, const Candidate& b) { return Prefer(a, b, by_growth); });
  return candidates;
}

void Search::Rate(const ContainerRequest& container, Candidates& candidates) const {
  if (preference_ == nullptr || request_.gpu_policy != PlacementPolicy::kPack ||
      container.gpu.count != 1 || candidates.size() < 2) {
    return;
  }
  std::vector<Amount> held;
  held.reserve(held_.size());
  for (const Held& device : held_) held.push_back(device.peak);
  std::vector<GpuOption> options;
  options.reserve(candidates.size());
  for (const Candidate& candidate : candidates)
    options.push_back({candidate.device, candidate.growth});
  preference_->Rate(node_, request_, held, options);
  for (std::size_t i = 0; i < candidates.size(); ++i) candidates[i].loss = options[i].loss;
}

std::vector<Search::Candidates> Search::Groups(const ContainerRequest& container) const {
  Candidates all = CandidatesFor(container);
  std::vector<Candidates> groups;
  if (request_.topology == Topology::kNuma) {
    for (const Candidate& candidate : all) {
      const int numa = node_.devices[candidate.device].device.numa_node;
      const auto same = [&](const Candidates& g) {
        return node_.devices[g[0].device].device.numa_node == numa;
      };
      const auto group = std::find_if(groups.begin(), groups.end(), same);
      (group != groups.end() ? *group : groups.emplace_back()).push_back(candidate);
    }
  } else {
    groups.push_back(std::move(all));
  }
  const auto too_small = [&](const Candidates& g) {
    return g.size() < static_cast<std::size_t>(container.gpu.count);
  };
  groups.erase(std::remove_if(groups.begin(), groups.end(), too_small), groups.end());
  return groups;
}

Amount Search::SidecarsBefore(int index, std::size_t device) const {
  Amount sum;
  for (std::size_t i = 0; i < request_.containers.size(); ++i) {
    const ContainerRequest& other = request_.containers[i];
    if (other.kind != ContainerKind::kSidecar || other.index >= index) continue;
    for (const Candidate& candidate : chosen_[i]) {
      if (candidate.device == device) sum += candidate.amount;
    }
  }
  return sum;
}

Amount Search::PeakWith(const ContainerRequest& container, std::size_t device,
                        const Amount& amount) const {
  const Held& held = held_[device];
  if (container.kind != ContainerKind::kInit)
    return Max(held.peak, held.app + held.sidecars + amount);
  return Max(held.peak, SidecarsBefore(container.index, device) + amount);
}

void Search::Take(const ContainerRequest& container, const Candidate& candidate) {
  Held& held = held_[candidate.device];
  held.peak = PeakWith(container, candidate.device, candidate.amount);
  if (container.kind == ContainerKind::kApp) held.app += candidate.amount;
  if (container.kind == ContainerKind::kSidecar) held.sidecars += candidate.amount;
  held.touched = true;
}

bool Search::Prefer(const Candidate& a, const Candidate& b, bool by_growth) const {
  const DeviceInfo& one = node_.devices[a.device];
  const DeviceInfo& two = node_.devices[b.device];
  if (by_growth) {
    const int growth = Compare(Share(a.growth, one.capacity()), Share(b.growth, two.capacity()));
    if (growth != 0) return growth < 0;
  }
  // A GPU that is in the mode already leaves the others to pods of any mode.
  const bool packs_mps =
      request_.isolation == Isolation::kMps && request_.gpu_policy == PlacementPolicy::kPack;
  if (packs_mps && (one.mps_tenants > 0) != (two.mps_tenants > 0)) return one.mps_tenants > 0;
  if (a.loss != b.loss) return a.loss < b.loss;
  const auto left = [&](const Candidate& c, const DeviceInfo& info) {
    return Share(info.free() - held_[c.device].peak - c.growth, info.capacity());
  };
  const int rest = Compare(left(a, one), left(b, two));
  if (rest != 0) return request_.gpu_policy == PlacementPolicy::kPack ? rest < 0 : rest > 0;
  return std::tie(one.device.index, one.device.uuid) < std::tie(two.device.index, two.device.uuid);
}

bool Search::Alike(const Candidate& a, const Candidate& b) const {
  const DeviceInfo& one = node_.devices[a.device];
  const DeviceInfo& two = node_.devices[b.device];
  return !held_[a.device].touched && !held_[b.device].touched && one.capacity() == two.capacity() &&
         one.used == two.used && one.device.numa_node == two.device.numa_node;
}

Placement Search::Result() const {
  Placement placement;
  for (std::size_t i = 0; i < request_.containers.size(); ++i) {
    const ContainerRequest& container = request_.containers[i];
    Candidates devices = chosen_[i];
    std::sort(devices.begin(), devices.end(), [&](const Candidate& a, const Candidate& b) {
      const GpuDevice& one = node_.devices[a.device].device;
      const GpuDevice& two = node_.devices[b.device].device;
      return std::tie(one.index, one.uuid) < std::tie(two.index, two.uuid);
    });
    ContainerPlacement placed{container.kind, container.index, {}};
    for (const Candidate& c : devices) {
      placed.devices.push_back(
          {node_.devices[c.device].device.uuid, c.amount.memory_mib, c.amount.cores_percent});
    }
    placement.containers.push_back(std::move(placed));
  }
  return placement;
}

}  // namespace tessera::binpack
