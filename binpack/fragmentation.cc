#include "binpack/fragmentation.h"

#include <algorithm>

namespace tessera::binpack {
namespace {

GpuRest RestOf(const DeviceInfo& info) {
  if (!info.device.healthy) return {};
  if (info.exclusive_tenants > 0) return {{}, info.capacity()};
  return {Max(info.free(), {}), info.capacity()};
}

Amount LostTo(const GpuRequest& request, std::span<const GpuRest> rests) {
  Amount all;
  Amount unusable;
  int usable = 0;
  for (const GpuRest& rest : rests) {
    const bool fits =
        rest.capacity.memory_mib > 0 && Within(Resolve(request, rest.capacity), rest.free);
    usable += fits ? 1 : 0;
    all += rest.free;
    if (!fits) unusable += rest.free;
  }
  return usable < request.count ? all : unusable;
}

}  // namespace

const Workload& DefaultWorkload() {
  const auto slice = [](int memory_percent, std::int64_t cores, std::int64_t frequency) {
    return TypicalRequest{{1, 0, memory_percent, cores}, frequency};
  };
  const auto whole = [](int count, std::int64_t frequency) {
    return TypicalRequest{{count, 0, 100, kWholeGpuCores}, frequency};
  };
  static const Workload kDefault{{slice(25, 25, 60), slice(50, 50, 110), slice(50, 25, 35),
                                  slice(25, 50, 35), slice(80, 80, 200), whole(1, 540), whole(2, 5),
                                  whole(4, 5), whole(8, 10)}};
  return kDefault;
}

std::vector<GpuRest> RestsOf(const NodeInfo& node) {
  std::vector<GpuRest> rests;
  rests.reserve(node.devices.size());
  for (const DeviceInfo& info : node.devices) rests.push_back(RestOf(info));
  return rests;
}

std::vector<GpuRest> RestsAfter(const NodeInfo& node, const Reservation& reservation) {
  std::vector<GpuRest> rests = RestsOf(node);
  for (const DeviceReservation& held : reservation.devices) {
    for (std::size_t i = 0; i < rests.size(); ++i) {
      if (node.devices[i].device.uuid != held.uuid) continue;
      rests[i].free = reservation.isolation == Isolation::kExclusive
                          ? Amount{}
                          : Max(rests[i].free - held.amount, {});
    }
  }
  return rests;
}

double Ratio::value() const {
  return denominator == 0 ? 0.0 : static_cast<double>(numerator) / static_cast<double>(denominator);
}

Fragmentation Measure(std::span<const GpuRest> rests, const Workload& workload) {
  Fragmentation sum;
  for (const GpuRest& rest : rests) {
    sum.capacity_memory += rest.capacity.memory_mib;
    sum.capacity_cores += rest.capacity.cores_percent;
  }
  for (const TypicalRequest& typical : workload.requests) {
    const Amount lost = LostTo(typical.gpu, rests);
    sum.lost_memory += typical.frequency * lost.memory_mib;
    sum.lost_cores += typical.frequency * lost.cores_percent;
    sum.total_frequency += typical.frequency;
  }
  return sum;
}

void FragmentationSum::Add(const Fragmentation& node) {
  lost_memory_ += static_cast<Wide>(node.lost_memory);
  lost_cores_ += static_cast<Wide>(node.lost_cores);
  capacity_memory_ += static_cast<Wide>(node.capacity_memory);
  capacity_cores_ += static_cast<Wide>(node.capacity_cores);
  total_frequency_ = std::max(total_frequency_, node.total_frequency);
}

Ratio FragmentationSum::ratio() const {
  return {lost_memory_ * capacity_cores_ + lost_cores_ * capacity_memory_,
          2 * capacity_memory_ * capacity_cores_ * static_cast<Wide>(total_frequency_)};
}

Ratio RatioOf(const Fragmentation& fragmentation) {
  FragmentationSum sum;
  sum.Add(fragmentation);
  return sum.ratio();
}

}  // namespace tessera::binpack
