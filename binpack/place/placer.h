#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "binpack/place/policy.h"
#include "binpack/place/room.h"

namespace tessera::binpack {

/// Where a pod goes: a node by its number and GPUs by their place in its room.
struct Decision {
  int node = 0;
  GpuChoice gpus{};
  float score = 0;
};

/// Decides for one pod after the other on a cluster that it keeps.
///
/// Nodes with the same room are one state, and a state is scored once for each shape of pod. Scores
/// stay until the state is gone or the policy voids them; a change of a node touches its old and
/// its new state. One thread only.
class Placer {
 public:
  /// `policy` must outlive this and see no other Placer.
  Placer(std::vector<NodeRoom> nodes, Policy& policy, std::uint64_t seed);

  /// The best place, or nothing if no node has room. Takes nothing.
  std::optional<Decision> Decide(const PodShape& shape);
  /// REQUIRES: the node has room for it on those GPUs.
  void Take(const PodShape& shape, const Decision& decision);
  /// Undoes Take.
  void Give(const PodShape& shape, const Decision& decision);
  /// Another room for a node; the number one past the last adds a node.
  void SetNode(int node, const NodeRoom& room);

  const std::vector<NodeRoom>& nodes() const { return nodes_; }
  /// Memory of states and scores.
  std::size_t bytes() const;

 private:
  static constexpr float kNoRoom = -std::numeric_limits<float>::infinity();
  static constexpr std::size_t kBlock = 64;
  static constexpr std::size_t kMaxShapes = 512;
  static constexpr std::size_t kMaxLog = 1 << 18;

  struct State {
    NodeRoom room;             ///< sorted
    double value = 0;          ///< Policy::Value(room)
    std::uint64_t change = 0;  ///< its last entry in the log
    std::vector<int> nodes;    ///< empty: the slot is free
  };
  struct HashRoom {
    std::size_t operator()(const NodeRoom& room) const { return HashOf(room); }
  };
  /// Scores of one shape by state, and the best of each block of states.
  struct Scores {
    std::vector<float> by_state;
    std::vector<float> by_block;
    std::uint64_t seen = 0;  ///< log entries
    bool valid = false;
  };

  void Join(int node);
  void Leave(int node, const NodeRoom& room);
  void Changed(std::size_t slot);
  void VoidScores();
  Scores& Updated(const PodShape& shape);
  float ScoreOf(const State& state, const PodShape& shape);
  static void UpdateBlock(Scores& scores, std::size_t block);
  int PickNode(const Scores& scores, float best);

  std::vector<NodeRoom> nodes_;
  Policy& policy_;
  std::mt19937_64 random_;
  std::vector<State> states_;
  std::vector<std::size_t> free_slots_;
  std::unordered_map<NodeRoom, std::size_t, HashRoom> slot_of_;
  std::vector<std::size_t> log_;  ///< slots that changed
  std::map<PodShape, Scores> scores_;
};

}  // namespace tessera::binpack
