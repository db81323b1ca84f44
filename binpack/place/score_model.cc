#include "binpack/place/score_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "binpack/score.h"
#include "binpack/selector.h"

namespace tessera::binpack {
namespace {

/// GPUs. Losses that differ by less are the same: then the tightest GPU is taken.
constexpr double kLossUnit = 1e-9;

std::int16_t Thousandths(std::int64_t part, std::int64_t whole, bool up) {
  if (whole <= 0) return 0;
  const std::int64_t exact =
      (std::max<std::int64_t>(part, 0) * 1000 + (up ? whole - 1 : 0)) / whole;
  return static_cast<std::int16_t>(std::min<std::int64_t>(exact, kWholeShare));
}

Share RestOf(const DeviceInfo& info, const Amount& taken) {
  if (!info.device.healthy || info.exclusive_tenants > 0) return {};
  const Amount free = info.free() - taken;
  return {Thousandths(free.memory_mib, info.device.memory_mib, false),
          Thousandths(free.cores_percent, info.device.cores_percent, false)};
}

/// What is free of the node's CPU once `taken` is used of it.
std::int32_t FreeCpu(const NodeInfo& node, std::int64_t taken) {
  if (!node.cpu_milli) return kUnknownCpu;
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(*node.cpu_milli - taken, 0, kMaxCpuMilli));
}

std::int32_t TwoDigits(std::int64_t cpu_milli) {
  const std::int64_t exact = std::clamp<std::int64_t>(cpu_milli, 0, kMaxCpuMilli);
  std::int64_t unit = 1;
  while (exact > 99 * unit) unit *= 10;
  return static_cast<std::int32_t>((exact + unit - 1) / unit * unit);
}

std::vector<NodeRoom> EmptyRooms(std::span<const NodeInfo* const> nodes, const ModelNames& models) {
  std::vector<NodeRoom> rooms;
  for (const NodeInfo* node : nodes) {
    NodeRoom room = RoomOf(*node, models);
    std::fill_n(room.rest.begin(), room.gpus, kWholeGpu);
    room.cpu_milli = FreeCpu(*node, 0);
    if (room.gpus > 0) rooms.push_back(room);
  }
  return rooms;
}

std::int64_t MeanMemory(std::span<const NodeInfo* const> nodes) {
  std::int64_t sum = 0;
  std::int64_t count = 0;
  for (const NodeInfo* node : nodes) {
    for (const DeviceInfo& info : node->devices) {
      sum += info.device.memory_mib;
      ++count;
    }
  }
  return count > 0 ? sum / count : 0;
}

}  // namespace

NodeRoom RoomOf(const NodeInfo& node, const ModelNames& models) {
  NodeRoom room{.cpu_milli = FreeCpu(node, node.cpu_used_milli)};
  room.gpus = static_cast<std::int16_t>(std::min<std::size_t>(node.devices.size(), kMaxRoomGpus));
  for (std::size_t i = 0; i < static_cast<std::size_t>(room.gpus); ++i) {
    room.rest[i] = RestOf(node.devices[i], {});
  }
  if (node.devices.empty()) return room;
  const std::string& model = node.devices.front().device.model;
  const auto found = std::find(models.begin(), models.end(), model);
  if (found != models.end()) room.model = static_cast<std::int16_t>(found - models.begin());
  return room;
}

NodeRoom RoomAfter(const NodeInfo& node, const ModelNames& models, const Reservation& reservation) {
  NodeRoom room = RoomOf(node, models);
  room.cpu_milli = FreeCpu(node, node.cpu_used_milli + reservation.cpu_milli);
  for (const DeviceReservation& held : reservation.devices) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(room.gpus); ++i) {
      if (node.devices[i].device.uuid != held.uuid) continue;
      room.rest[i] = reservation.isolation == Isolation::kExclusive
                         ? Share{}
                         : RestOf(node.devices[i], held.amount);
    }
  }
  return room;
}

void AddModels(std::span<const NodeInfo* const> nodes, ModelNames& models) {
  for (const NodeInfo* node : nodes) {
    if (node->devices.empty() || models.size() >= kMaxModels) continue;
    const std::string& model = node->devices.front().device.model;
    if (std::find(models.begin(), models.end(), model) == models.end()) models.push_back(model);
  }
}

PodShape ShapeOf(const PodRequest& request, const ModelNames& models, std::int64_t gpu_memory_mib) {
  PodShape shape{.cpu_milli = TwoDigits(request.cpu_milli)};
  int gpus = 0;
  for (const ContainerRequest& container : request.containers) {
    if (container.kind == ContainerKind::kInit && request.containers.size() > 1) continue;
    gpus += container.gpu.count;
    const std::int16_t memory = container.gpu.memory_mib > 0
                                    ? Thousandths(container.gpu.memory_mib, gpu_memory_mib, true)
                                    : Thousandths(container.gpu.memory_percent, 100, true);
    const std::int16_t cores = Thousandths(container.gpu.cores_percent, kWholeGpuCores, true);
    shape.share.memory = std::max(shape.share.memory, memory);
    shape.share.cores = std::max(shape.share.cores, cores);
  }
  shape.gpus = static_cast<std::int16_t>(std::min(gpus, kMaxRoomGpus));
  if (gpus > 0 && request.isolation == Isolation::kExclusive) shape.share = kWholeGpu;
  if (request.selector.models_any.empty() && request.selector.models_none.empty()) return shape;
  shape.models = 0;
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (AcceptsModel(request.selector, models[i])) shape.models |= ModelSet{1} << i;
  }
  return shape;
}

ScoreModel::ScoreModel(const Demand& demand, std::span<const NodeInfo* const> nodes,
                       ModelNames models, const ValueWeights& weights)
    : models_(std::move(models)),
      gpu_memory_mib_(MeanMemory(nodes)),
      value_(demand, FleetOf(EmptyRooms(nodes, models_)), weights) {
  SlotCounts free_slots{};
  for (const NodeInfo* node : nodes) CountSlots(RoomOf(*node, models_), 1, free_slots);
  prices_ = value_.PricesFor(free_slots);
}

std::int64_t ScoreModel::Score(const NodeInfo& node, const Reservation& reservation) const {
  const NodeRoom before = RoomOf(node, models_);
  if (!value_.knows(before.model) || before.gpus == 0 || reservation.devices.empty()) {
    return kMaxFineScore / 2;
  }
  const double won =
      value_.Lost(before, prices_) - value_.Lost(RoomAfter(node, models_, reservation), prices_);
  const double per_gpu = won / static_cast<double>(reservation.devices.size());
  return static_cast<std::int64_t>(
      std::llround((1 + std::clamp(per_gpu, -1.0, 1.0)) * (kMaxFineScore / 2.0)));
}

double ScoreModel::LostWith(NodeRoom& room, std::size_t gpu, const Share& rest) const {
  const Share before = std::exchange(room.rest[gpu], rest);
  const double lost = value_.Lost(room, prices_);
  room.rest[gpu] = before;
  return lost;
}

void ScoreModel::Rate(const NodeInfo& node, const PodRequest& request, std::span<const Amount> held,
                      std::span<GpuOption> options) const {
  NodeRoom room = RoomOf(node, models_);
  if (!value_.knows(room.model) || node.devices.size() > kMaxRoomGpus) return;
  room.cpu_milli = FreeCpu(node, node.cpu_used_milli + request.cpu_milli);
  const bool exclusive = request.isolation == Isolation::kExclusive;
  const auto rest_with = [&](std::size_t gpu, const Amount& amount) {
    return exclusive ? Share{} : RestOf(node.devices[gpu], amount);
  };
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (held[i] != Amount{}) room.rest[i] = rest_with(i, held[i]);
  }
  // GPUs with the same rest before and after lose the same.
  std::array<std::pair<Share, Share>, kMaxRoomGpus> rests;
  for (std::size_t i = 0; i < options.size(); ++i) {
    GpuOption& option = options[i];
    rests[i] = {room.rest[option.device],
                rest_with(option.device, held[option.device] + option.growth)};
    const auto end = rests.begin() + static_cast<std::ptrdiff_t>(i);
    const auto alike = std::find(rests.begin(), end, rests[i]);
    option.loss = alike != end
                      ? options[static_cast<std::size_t>(alike - rests.begin())].loss
                      : std::llround(LostWith(room, option.device, rests[i].second) / kLossUnit);
  }
}

}  // namespace tessera::binpack
