#pragma once

#include <chrono>

#include "common/http/server.h"
#include "sim/kube/shared_store.h"

namespace tessera::sim {

struct WatchQuery {
  Target target;
  Selector selector;
  std::uint64_t from = 0;  ///< resourceVersion; 0: the present objects first
  bool bookmarks = false;
  bool initial_events_end = false;  ///< sendInitialEvents: mark the end of the present objects
  std::chrono::milliseconds time{0};
  std::chrono::milliseconds bookmark_interval{0};
};

/// Sends the events of one watch until its time is over, the client has gone, or the store says so.
void RunWatch(SharedStore& store, const WatchQuery& query, const http::ChunkSink& sink);

}  // namespace tessera::sim
