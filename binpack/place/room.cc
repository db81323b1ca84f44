#include "binpack/place/room.h"

#include <algorithm>
#include <string_view>

namespace tessera::binpack {
namespace {

int Sum(const Share& share) { return share.memory + share.cores; }

void Move(NodeRoom& room, const PodShape& shape, const GpuChoice& choice, int sign) {
  if (room.cpu_milli != kUnknownCpu) room.cpu_milli += sign * shape.cpu_milli;
  room.memory_mib += sign * shape.memory_mib;
  for (int k = 0; k < shape.gpus; ++k) {
    Share& rest = room.rest[static_cast<std::size_t>(choice[static_cast<std::size_t>(k)])];
    rest.memory = static_cast<std::int16_t>(rest.memory + sign * shape.share.memory);
    rest.cores = static_cast<std::int16_t>(rest.cores + sign * shape.share.cores);
  }
}

}  // namespace

bool HasRoom(const NodeRoom& room, const PodShape& shape) {
  if (shape.cpu_milli > room.cpu_milli || shape.memory_mib > room.memory_mib) return false;
  if (shape.gpus == 0) return true;
  if ((shape.models >> room.model & 1U) == 0) return false;
  int enough = 0;
  for (int i = 0; i < room.gpus; ++i) {
    enough += Within(shape.share, room.rest[static_cast<std::size_t>(i)]) ? 1 : 0;
  }
  return enough >= shape.gpus;
}

void Take(NodeRoom& room, const PodShape& shape, const GpuChoice& choice) {
  Move(room, shape, choice, -1);
}

void Give(NodeRoom& room, const PodShape& shape, const GpuChoice& choice) {
  Move(room, shape, choice, 1);
}

GpuChoice TightestGpus(const NodeRoom& room, const PodShape& shape) {
  GpuChoice choice{};
  std::uint32_t taken = 0;
  for (int k = 0; k < shape.gpus; ++k) {
    int best = -1;
    for (int i = 0; i < room.gpus; ++i) {
      const Share& rest = room.rest[static_cast<std::size_t>(i)];
      if ((taken >> i & 1U) != 0 || !Within(shape.share, rest)) continue;
      if (best < 0 || Sum(rest) < Sum(room.rest[static_cast<std::size_t>(best)])) best = i;
    }
    if (best < 0) break;  // the caller broke its promise
    taken |= 1U << best;
    choice[static_cast<std::size_t>(k)] = static_cast<std::int8_t>(best);
  }
  return choice;
}

double GpusLeft(const NodeRoom& room) {
  int sum = 0;
  for (const Share& rest : room.rest) sum += Sum(rest);
  return sum / 2000.0;
}

int WholeGpus(const NodeRoom& room) {
  return static_cast<int>(std::count(room.rest.begin(), room.rest.end(), kWholeGpu));
}

NodeRoom Sorted(const NodeRoom& room) {
  NodeRoom sorted = room;
  std::sort(
      sorted.rest.begin(), sorted.rest.begin() + sorted.gpus,
      [](const Share& a, const Share& b) { return Sum(a) != Sum(b) ? Sum(a) < Sum(b) : a < b; });
  return sorted;
}

std::size_t HashOf(const NodeRoom& room) {
  static_assert(sizeof(NodeRoom) == 20 + sizeof(NodeRoom::rest), "no padding may be hashed");
  return std::hash<std::string_view>{}(
      std::string_view(reinterpret_cast<const char*>(&room), sizeof(room)));
}

}  // namespace tessera::binpack
