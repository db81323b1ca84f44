#include "extender/snapshot_maker.h"

#include "common/base/log.h"

namespace tessera::extender {

Snapshot::Node SnapshotMaker::NodeOf(NodeEntry& entry) {
  if (!entry.dirty()) return Snapshot::Node(entry.View(workload_, version_));
  auto view = entry.View(workload_, ++version_);
  if (view->over_committed) {
    log::Warn("more is committed on a GPU than it has", {{"node", view->name}});
  }
  return Snapshot::Node(std::move(view));
}

Snapshot::Blocks SnapshotMaker::MakeAll(Nodes& nodes) {
  auto index = std::make_shared<Snapshot::Index>();
  Snapshot::Blocks blocks;
  std::shared_ptr<Snapshot::Block> last;
  for (auto& [name, entry] : nodes) {
    if (!entry.exists()) continue;
    const std::size_t at = index->size();
    index->emplace(name, at);
    if (at % Snapshot::kBlock == 0) blocks.push_back(last = std::make_shared<Snapshot::Block>());
    (*last)[at % Snapshot::kBlock] = NodeOf(entry);
  }
  index_ = std::move(index);
  return blocks;
}

Snapshot::Blocks SnapshotMaker::MakeChanged(Nodes& nodes) {
  Snapshot::Blocks blocks = snapshot_->blocks();
  std::unordered_map<std::size_t, std::shared_ptr<Snapshot::Block>> own;
  for (const std::string& name : changed_) {
    const auto at = index_->find(name);
    if (at == index_->end()) continue;
    const std::size_t number = at->second / Snapshot::kBlock;
    auto& block = own[number];
    if (block == nullptr)
      blocks[number] = block = std::make_shared<Snapshot::Block>(*blocks[number]);
    (*block)[at->second % Snapshot::kBlock] = NodeOf(nodes.at(name));
  }
  return blocks;
}

std::shared_ptr<const Snapshot> SnapshotMaker::Make(Nodes& nodes) {
  if (snapshot_ != nullptr && changed_.empty() && !node_set_changed_) return snapshot_;
  auto blocks = node_set_changed_ ? MakeAll(nodes) : MakeChanged(nodes);
  changed_.clear();
  node_set_changed_ = false;
  const std::uint64_t generation = snapshot_ == nullptr ? 1 : snapshot_->generation() + 1;
  snapshot_ = std::make_shared<Snapshot>(generation, index_, std::move(blocks));
  return snapshot_;
}

}  // namespace tessera::extender
