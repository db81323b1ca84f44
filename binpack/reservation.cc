#include "binpack/reservation.h"

#include <algorithm>

namespace tessera::binpack {
namespace {

/// One pod's use of one GPU while its containers are read in order.
struct Running {
  std::string uuid;
  Amount app;
  Amount sidecars;   ///< started so far
  Amount init_peak;  ///< the largest init container, with the sidecars started before it
};

Running& Of(std::vector<Running>& all, const std::string& uuid) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Running& r) { return r.uuid == uuid; });
  return found != all.end() ? *found : all.emplace_back(Running{uuid, {}, {}, {}});
}

/// Init containers and sidecars in the order in which they start.
std::vector<const ContainerPlacement*> InitOrder(const Placement& placement) {
  std::vector<const ContainerPlacement*> order;
  for (const ContainerPlacement& container : placement.containers) {
    if (container.kind != ContainerKind::kApp) order.push_back(&container);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->index < b->index; });
  return order;
}

/// One pod more (+1) or less (-1).
void CountTenant(DeviceInfo& info, Isolation isolation, int by) {
  info.tenants += by;
  info.exclusive_tenants += isolation == Isolation::kExclusive ? by : 0;
  info.mps_tenants += isolation == Isolation::kMps ? by : 0;
}

template <typename Change>
std::size_t ForEachDevice(NodeInfo& node, const Reservation& reservation, Change change) {
  std::size_t missing = 0;
  for (const DeviceReservation& held : reservation.devices) {
    DeviceInfo* info = FindDevice(node, held.uuid);
    if (info == nullptr) {
      ++missing;
    } else {
      change(*info, held.amount);
    }
  }
  return missing;
}

}  // namespace

Reservation ReservationOf(const Placement& placement, Isolation isolation) {
  const auto amount_of = [&](const DeviceShare& share) {
    return Amount{share.memory_mib, share.cores_percent, isolation == Isolation::kMps ? 1 : 0};
  };
  std::vector<Running> all;
  for (const ContainerPlacement* container : InitOrder(placement)) {
    for (const DeviceShare& share : container->devices) {
      Running& gpu = Of(all, share.uuid);
      const Amount amount = amount_of(share);
      if (container->kind == ContainerKind::kSidecar) {
        gpu.sidecars += amount;
      } else {
        gpu.init_peak = Max(gpu.init_peak, gpu.sidecars + amount);
      }
    }
  }
  for (const ContainerPlacement& container : placement.containers) {
    if (container.kind != ContainerKind::kApp) continue;
    for (const DeviceShare& share : container.devices) {
      Of(all, share.uuid).app += amount_of(share);
    }
  }
  Reservation reservation{.isolation = isolation};
  for (const Running& gpu : all) {
    reservation.devices.push_back({gpu.uuid, Max(gpu.app + gpu.sidecars, gpu.init_peak)});
  }
  return reservation;
}

Reservation ReservationOf(const Placement& placement, const PodRequest& request) {
  Reservation reservation = ReservationOf(placement, request.isolation);
  reservation.cpu_milli = request.cpu_milli;
  return reservation;
}

std::size_t Reserve(NodeInfo& node, const Reservation& reservation) {
  node.cpu_used_milli += reservation.cpu_milli;
  return ForEachDevice(node, reservation, [&](DeviceInfo& info, const Amount& amount) {
    info.used += amount;
    CountTenant(info, reservation.isolation, +1);
  });
}

void Release(NodeInfo& node, const Reservation& reservation) {
  node.cpu_used_milli -= reservation.cpu_milli;
  ForEachDevice(node, reservation, [&](DeviceInfo& info, const Amount& amount) {
    info.used -= amount;
    CountTenant(info, reservation.isolation, -1);
  });
}

}  // namespace tessera::binpack
