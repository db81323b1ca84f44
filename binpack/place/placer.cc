#include "binpack/place/placer.h"

#include <algorithm>
#include <utility>

namespace tessera::binpack {

Placer::Placer(std::vector<NodeRoom> nodes, Policy& policy, std::uint64_t seed)
    : nodes_(std::move(nodes)), policy_(policy), random_(seed) {
  for (int node = 0; node < static_cast<int>(nodes_.size()); ++node) {
    policy_.Observe(NodeRoom{}, nodes_[static_cast<std::size_t>(node)]);
  }
  for (int node = 0; node < static_cast<int>(nodes_.size()); ++node) Join(node);
}

void Placer::Changed(std::size_t slot) {
  if (log_.size() >= kMaxLog) {
    log_.clear();
    for (auto& [shape, scores] : scores_) scores.valid = false;
  }
  states_[slot].change = log_.size();
  log_.push_back(slot);
}

void Placer::Join(int node) {
  const NodeRoom room = Sorted(nodes_[static_cast<std::size_t>(node)]);
  const auto [found, is_new] = slot_of_.emplace(room, 0);
  if (is_new) {
    if (free_slots_.empty()) {
      free_slots_.push_back(states_.size());
      states_.emplace_back();
    }
    found->second = free_slots_.back();
    free_slots_.pop_back();
    State& state = states_[found->second];
    state.room = room;
    state.value = policy_.Value(room);
    Changed(found->second);
  }
  states_[found->second].nodes.push_back(node);
}

void Placer::Leave(int node, const NodeRoom& room) {
  const auto found = slot_of_.find(Sorted(room));
  State& state = states_[found->second];
  const auto position = std::find(state.nodes.begin(), state.nodes.end(), node);
  *position = state.nodes.back();
  state.nodes.pop_back();
  if (!state.nodes.empty()) return;
  Changed(found->second);
  free_slots_.push_back(found->second);
  slot_of_.erase(found);
}

void Placer::VoidScores() {
  log_.clear();
  for (State& state : states_) {
    if (!state.nodes.empty()) state.value = policy_.Value(state.room);
  }
  for (auto& [shape, scores] : scores_) scores.valid = false;
}

void Placer::SetNode(int node, const NodeRoom& room) {
  const auto i = static_cast<std::size_t>(node);
  if (i == nodes_.size())
    nodes_.emplace_back();
  else
    Leave(node, nodes_[i]);
  const NodeRoom before = nodes_[i];
  nodes_[i] = room;
  Join(node);
  if (policy_.Observe(before, room)) VoidScores();
}

void Placer::Take(const PodShape& shape, const Decision& decision) {
  NodeRoom room = nodes_[static_cast<std::size_t>(decision.node)];
  binpack::Take(room, shape, decision.gpus);
  SetNode(decision.node, room);
}

void Placer::Give(const PodShape& shape, const Decision& decision) {
  NodeRoom room = nodes_[static_cast<std::size_t>(decision.node)];
  binpack::Give(room, shape, decision.gpus);
  SetNode(decision.node, room);
}

float Placer::ScoreOf(const State& state, const PodShape& shape) {
  if (state.nodes.empty() || !HasRoom(state.room, shape)) return kNoRoom;
  GpuChoice choice{};
  return policy_.Score(state.room, state.value, shape, choice);
}

void Placer::UpdateBlock(Scores& scores, std::size_t block) {
  const auto first = scores.by_state.begin() + static_cast<std::ptrdiff_t>(block * kBlock);
  scores.by_block[block] = *std::max_element(first, first + kBlock);
}

Placer::Scores& Placer::Updated(const PodShape& shape) {
  if (scores_.size() >= kMaxShapes && scores_.count(shape) == 0) scores_.clear();
  Scores& scores = scores_[shape];
  const std::size_t blocks = (states_.size() + kBlock - 1) / kBlock;
  scores.by_state.resize(blocks * kBlock, kNoRoom);
  scores.by_block.resize(blocks, kNoRoom);
  if (!scores.valid || log_.size() - scores.seen > states_.size()) {
    for (std::size_t slot = 0; slot < states_.size(); ++slot) {
      scores.by_state[slot] = ScoreOf(states_[slot], shape);
    }
    for (std::size_t block = 0; block < blocks; ++block) UpdateBlock(scores, block);
  } else {
    for (std::size_t entry = scores.seen; entry < log_.size(); ++entry) {
      const std::size_t slot = log_[entry];
      if (states_[slot].change != entry) continue;  // changed again later
      const float score = ScoreOf(states_[slot], shape);
      float& best = scores.by_block[slot / kBlock];
      const float old = std::exchange(scores.by_state[slot], score);
      if (score >= best)
        best = score;
      else if (old == best)
        UpdateBlock(scores, slot / kBlock);
    }
  }
  scores.seen = log_.size();
  scores.valid = true;
  return scores;
}

int Placer::PickNode(const Scores& scores, float best) {
  int picked = -1;
  std::uint64_t equals = 0;
  for (std::size_t block = 0; block < scores.by_block.size(); ++block) {
    if (scores.by_block[block] != best) continue;
    for (std::size_t slot = block * kBlock; slot < (block + 1) * kBlock; ++slot) {
      if (scores.by_state[slot] != best) continue;
      for (const int node : states_[slot].nodes) {
        ++equals;
        const bool better = picked < 0 ||
                            (policy_.tie_break() == TieBreak::kFirst && node < picked) ||
                            (policy_.tie_break() == TieBreak::kLast && node > picked) ||
                            (policy_.tie_break() == TieBreak::kRandom && random_() % equals == 0);
        if (better) picked = node;
      }
    }
  }
  return picked;
}

std::optional<Decision> Placer::Decide(const PodShape& shape) {
  const Scores& scores = Updated(shape);
  float best = kNoRoom;
  for (const float score : scores.by_block) best = score > best ? score : best;
  if (best == kNoRoom) return std::nullopt;

  Decision decision{.node = PickNode(scores, best), .score = best};
  const NodeRoom& room = nodes_[static_cast<std::size_t>(decision.node)];
  const State& state = states_[slot_of_.find(Sorted(room))->second];
  GpuChoice choice{};
  policy_.Score(state.room, state.value, shape, choice);
  // From the order of the state to the order of the node: like rests are interchangeable.
  std::uint32_t taken = 0;
  for (int k = 0; k < shape.gpus; ++k) {
    const Share wanted =
        state.room.rest[static_cast<std::size_t>(choice[static_cast<std::size_t>(k)])];
    int gpu = 0;
    while ((taken >> gpu & 1U) != 0 || room.rest[static_cast<std::size_t>(gpu)] != wanted) ++gpu;
    taken |= 1U << gpu;
    decision.gpus[static_cast<std::size_t>(k)] = static_cast<std::int8_t>(gpu);
  }
  return decision;
}

std::size_t Placer::bytes() const {
  std::size_t sum = nodes_.size() * sizeof(NodeRoom) + states_.size() * sizeof(State) +
                    slot_of_.size() * (sizeof(NodeRoom) + 4 * sizeof(void*)) +
                    log_.size() * sizeof(std::size_t);
  for (const State& state : states_) sum += state.nodes.capacity() * sizeof(int);
  for (const auto& [shape, scores] : scores_) {
    sum += (scores.by_state.size() + scores.by_block.size()) * sizeof(float);
  }
  return sum;
}

}  // namespace tessera::binpack
