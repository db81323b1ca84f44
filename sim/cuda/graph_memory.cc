#include "sim/cuda/graph_memory.h"

#include <algorithm>

#include "sim/cuda/driver.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/pool.h"

namespace tessera::sim::cuda {
namespace {

/// Every block that has an address, live or not.
struct Blocks {
  std::mutex mu;  ///< guards the next
  std::map<CUdeviceptr, std::weak_ptr<GraphBlock>> by_base;
};

Blocks& TheBlocks() {
  static Blocks& blocks = *new Blocks;
  return blocks;
}

/// What a block takes of its device's graph memory.
std::uint64_t SizeOf(const GraphBlock& block) { return RoundUp(block.bytes, kVmmGranuleBytes); }

/// The most that is live at once on `device` while the nodes run, beside what is live before.
/// Nothing where a node would allocate what is live already.
std::optional<std::uint64_t> PeakOf(Device& device, const std::vector<GraphNodePtr>& nodes) {
  std::map<CUdeviceptr, GraphBlockPtr> live = device.graph_memory.live;
  std::uint64_t now = device.graph_memory.used_bytes;
  std::uint64_t peak = now;
  for (const GraphNodePtr& node : nodes) {
    if (node->block == nullptr || node->block->device != &device) continue;
    if (node->type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
      if (live.erase(node->block->base) == 1) now -= SizeOf(*node->block);
      continue;
    }
    if (!live.emplace(node->block->base, node->block).second) return std::nullopt;
    now += SizeOf(*node->block);
    peak = std::max(peak, now);
  }
  return peak;
}

}  // namespace

GraphBlock::~GraphBlock() {
  {
    Blocks& blocks = TheBlocks();
    const std::lock_guard lock(blocks.mu);
    blocks.by_base.erase(base);
  }
  TheDriver().memory.Take(base, [](const Allocation&) { return true; });
  device->arena.Give(base, reserved);
}

GraphBlockPtr MakeGraphBlock(Device& device, std::size_t bytes) {
  const std::size_t reserved = RoundUp(bytes, kVmmGranuleBytes);
  const auto base = reserved == 0 ? std::nullopt : device.arena.Take(reserved);
  if (!base) return nullptr;
  auto block = std::make_shared<GraphBlock>();
  block->device = &device;
  block->base = *base;
  block->bytes = bytes;
  block->reserved = reserved;
  TheDriver().memory.Add({.base = *base,
                          .bytes = bytes,
                          .reserved = reserved,
                          .kind = MemoryKind::kGraph,
                          .device = &device});
  Blocks& blocks = TheBlocks();
  const std::lock_guard lock(blocks.mu);
  blocks.by_base[*base] = block;
  return block;
}

GraphBlockPtr FindGraphBlock(CUdeviceptr base) {
  Blocks& blocks = TheBlocks();
  const std::lock_guard lock(blocks.mu);
  const auto found = blocks.by_base.find(base);
  return found == blocks.by_base.end() ? nullptr : found->second.lock();
}

bool FreeGraphBlock(GraphBlock& block) {
  GraphMemory& memory = block.device->graph_memory;
  GraphBlockPtr last;  // let go of after the lock: its end takes others
  const std::lock_guard lock(memory.mu);
  const auto found = memory.live.find(block.base);
  if (found == memory.live.end()) return false;
  last = std::move(found->second);
  memory.live.erase(found);
  memory.used_bytes -= SizeOf(block);
  return true;
}

CUresult ReserveForGraph(const std::vector<GraphNodePtr>& nodes) {
  for (Device& device : TheDriver().devices) {
    GraphMemory& memory = device.graph_memory;
    const std::lock_guard lock(memory.mu);
    const auto peak = PeakOf(device, nodes);
    if (!peak) return CUDA_ERROR_INVALID_VALUE;
    if (*peak <= memory.reserved_bytes) continue;
    const std::uint64_t more = RoundUp(*peak - memory.reserved_bytes, kPoolChunkBytes);
    if (!device.Reserve(more)) return CUDA_ERROR_OUT_OF_MEMORY;
    memory.reserved_bytes += more;
    memory.reserved_high_bytes = std::max(memory.reserved_high_bytes, memory.reserved_bytes);
  }
  return CUDA_SUCCESS;
}

void RunMemoryNodes(const std::vector<GraphNodePtr>& nodes) {
  for (const GraphNodePtr& node : nodes) {
    if (node->type == CU_GRAPH_NODE_TYPE_MEM_FREE) FreeGraphBlock(*node->block);
    if (node->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC) continue;
    GraphMemory& memory = node->block->device->graph_memory;
    const std::lock_guard lock(memory.mu);
    if (!memory.live.emplace(node->block->base, node->block).second) continue;
    memory.used_bytes += SizeOf(*node->block);
    memory.used_high_bytes = std::max(memory.used_high_bytes, memory.used_bytes);
  }
}

void FreeOnLaunch(const std::vector<GraphNodePtr>& nodes) {
  for (const GraphNodePtr& node : nodes) {
    if (node->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) FreeGraphBlock(*node->block);
  }
}

}  // namespace tessera::sim::cuda

using namespace tessera::sim::cuda;

namespace {

Device* GetDevice(CUdevice ordinal, CUresult& error) {
  error = Ready();
  if (error != CUDA_SUCCESS) return nullptr;
  Device* device = FindDevice(ordinal);
  if (device == nullptr) error = CUDA_ERROR_INVALID_DEVICE;
  return device;
}

}  // namespace

extern "C" {

/// What is live stays.
CUresult cuDeviceGraphMemTrim(CUdevice ordinal) {
  CUresult error{};
  Device* device = GetDevice(ordinal, error);
  if (device == nullptr) return error;
  GraphMemory& memory = device->graph_memory;
  const std::lock_guard lock(memory.mu);
  const std::uint64_t keep = RoundUp(memory.used_bytes, kPoolChunkBytes);
  if (keep < memory.reserved_bytes) {
    device->Release(memory.reserved_bytes - keep);
    memory.reserved_bytes = keep;
  }
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice ordinal, CUgraphMem_attribute attribute,
                                      void* value) {
  CUresult error{};
  Device* device = GetDevice(ordinal, error);
  if (device == nullptr) return error;
  if (value == nullptr || attribute > CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  GraphMemory& memory = device->graph_memory;
  const std::lock_guard lock(memory.mu);
  const std::uint64_t values[] = {memory.used_bytes, memory.used_high_bytes, memory.reserved_bytes,
                                  memory.reserved_high_bytes};
  *static_cast<cuuint64_t*>(value) = values[attribute];
  return CUDA_SUCCESS;
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice ordinal, CUgraphMem_attribute attribute,
                                      void* value) {
  CUresult error{};
  Device* device = GetDevice(ordinal, error);
  if (device == nullptr) return error;
  if (value == nullptr || *static_cast<cuuint64_t*>(value) != 0) return CUDA_ERROR_INVALID_VALUE;
  GraphMemory& memory = device->graph_memory;
  const std::lock_guard lock(memory.mu);
  if (attribute == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) {
    memory.used_high_bytes = memory.used_bytes;
  } else if (attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) {
    memory.reserved_high_bytes = memory.reserved_bytes;
  } else {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

}  // extern "C"
