#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>

/// What placement decisions are made on: plain numbers, small enough that a hundred thousand nodes
/// fit into a cache. Shares of a GPU are in thousandths of its memory and of its cores.
namespace tessera::binpack {

/// GPUs of one node that placement looks at.
inline constexpr int kMaxRoomGpus = 16;
inline constexpr std::int16_t kWholeShare = 1000;

/// A part of one GPU, in thousandths.
struct Share {
  std::int16_t memory = 0;
  std::int16_t cores = 0;

  auto operator<=>(const Share&) const = default;
};
inline constexpr Share kWholeGpu{kWholeShare, kWholeShare};

/// True if `part` is at most `whole` in both dimensions.
inline bool Within(const Share& part, const Share& whole) {
  return part.memory <= whole.memory && part.cores <= whole.cores;
}
/// Mean of both dimensions, in GPUs.
inline double GpusOf(const Share& share) { return (share.memory + share.cores) / 2000.0; }

/// Models are numbered by whoever builds the rooms; a set of them is a bit mask.
using ModelSet = std::uint64_t;
inline constexpr int kMaxModels = 64;
inline constexpr ModelSet kAnyModel = ~ModelSet{0};

/// All of a pod that placement depends on. `gpus` 0: the pod takes CPU and memory only.
struct PodShape {
  std::int32_t cpu_milli = 0;
  std::int32_t memory_mib = 0;  ///< host memory
  std::int16_t gpus = 0;
  Share share{};  ///< of each GPU
  ModelSet models = kAnyModel;

  auto operator<=>(const PodShape&) const = default;
};
/// What the pod asks for in all, in GPUs.
inline double GpusOf(const PodShape& shape) { return shape.gpus * GpusOf(shape.share); }

/// CPU of a node that did not tell: enough for every pod, and none that could be wasted.
inline constexpr std::int32_t kUnknownCpu = std::numeric_limits<std::int32_t>::max();

/// What is left on a node.
struct NodeRoom {
  std::int32_t cpu_milli = 0;  ///< or kUnknownCpu
  std::int32_t memory_mib = 0;
  std::int32_t cpu_capacity_milli = 0;  ///< of the empty node; 0: not known
  std::int32_t memory_capacity_mib = 0;
  std::int16_t model = 0;  ///< of all its GPUs
  std::int16_t gpus = 0;
  std::array<Share, kMaxRoomGpus> rest{};  ///< the first `gpus` count; the others are zero

  bool operator==(const NodeRoom&) const = default;
};

/// Indices into NodeRoom::rest; the first PodShape::gpus count.
using GpuChoice = std::array<std::int8_t, kMaxRoomGpus>;

/// True if the node's model is one of the pod's and its CPU, memory and GPUs suffice.
bool HasRoom(const NodeRoom& room, const PodShape& shape);
/// Takes what the pod asks for, or gives it back.
void Take(NodeRoom& room, const PodShape& shape, const GpuChoice& choice);
void Give(NodeRoom& room, const PodShape& shape, const GpuChoice& choice);

/// The GPUs that fit and have the least left. REQUIRES: HasRoom.
GpuChoice TightestGpus(const NodeRoom& room, const PodShape& shape);

/// GPUs left, mean of both dimensions.
double GpusLeft(const NodeRoom& room);
/// GPUs that nobody uses.
int WholeGpus(const NodeRoom& room);

/// `room` with its GPUs in ascending order of what is left, so that like nodes are equal.
NodeRoom Sorted(const NodeRoom& room);
std::size_t HashOf(const NodeRoom& room);

}  // namespace tessera::binpack
