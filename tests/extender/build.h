#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/contract/assignment.h"
#include "common/contract/inventory.h"
#include "extender/cache.h"
#include "extender/ranking.h"
#include "extender/verdict_cache.h"
#include "extender/wire.h"
#include "tests/fakes/manual_clock.h"

/// Short ways to write clusters and requests in tests.
namespace tessera::extender {

/// `count` GPUs of 1000 MiB with uuids "<node>-0", "<node>-1", …
inline contract::Inventory Gpus(const std::string& node, int count) {
  contract::Inventory inventory{.driver_version = "1", .gpus = {}};
  for (int i = 0; i < count; ++i) {
    inventory.gpus.push_back({.uuid = node + "-" + std::to_string(i),
                              .index = i,
                              .model = "NVIDIA A100",
                              .memory_mib = 1000});
  }
  return inventory;
}

inline void AddNode(Cache& cache, const std::string& name, int gpus) {
  cache.SetNode(name, Result<contract::Inventory>(Gpus(name, gpus)));
}

inline binpack::PodRequest Ask(std::int64_t memory_mib, std::int64_t cores, int count = 1) {
  return {.containers = {{.name = "c", .gpu = {count, memory_mib, 0, cores}}}};
}

/// The same with GPUs that take clients of MPS.
inline void AddMpsNode(Cache& cache, const std::string& name, int gpus) {
  auto inventory = Gpus(name, gpus);
  for (auto& gpu : inventory.gpus) gpu.mps = true;
  cache.SetNode(name, Result<contract::Inventory>(std::move(inventory)));
}
inline binpack::PodRequest AskMps(std::int64_t memory_mib, std::int64_t cores) {
  auto request = Ask(memory_mib, cores);
  request.isolation = binpack::Isolation::kMps;
  return request;
}

inline contract::Assignment Given(const std::string& node, int gpu, std::int64_t memory_mib,
                                  std::int64_t cores) {
  return {.node = node,
          .placement = {{{binpack::ContainerKind::kApp,
                          0,
                          {{node + "-" + std::to_string(gpu), memory_mib, cores}}}}}};
}

inline ExtenderArgs Args(const std::string& uid, binpack::PodRequest request,
                         std::vector<std::string> nodes) {
  ExtenderArgs args;
  args.pod = {
      .uid = uid, .ns = "default", .name = uid, .managed = true, .request = std::move(request)};
  args.node_names = std::move(nodes);
  return args;
}

/// What is used on one GPU, committed or held.
inline binpack::Amount Committed(Cache& cache, const std::string& node, int gpu = 0) {
  return cache.UpdateSnapshot()->Find(node)->committed.devices[static_cast<std::size_t>(gpu)].used;
}
inline binpack::Amount Held(Cache& cache, const std::string& node, int gpu = 0) {
  return cache.UpdateSnapshot()->Find(node)->held.devices[static_cast<std::size_t>(gpu)].used;
}

/// A cache with a clock to tick and nodes to fill.
class CacheTest : public testing::Test {
 protected:
  ManualClock clock_;
  Ranking ranking_;
  VerdictCache verdicts_;
  Cache cache_{clock_, {.hold_time = std::chrono::seconds(10), .preference = [this] {
                          return ranking_.model();
                        }}};
};

}  // namespace tessera::extender
