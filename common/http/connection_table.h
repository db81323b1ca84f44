#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "common/base/thread_annotations.h"

namespace tessera::http {

/// Which connections are open and which of them are idle. At the cap the connection that has been
/// idle longest makes room; while all are busy a new one is refused. Thread-safe.
///
///   Admit -> busy <-> idle -> evicted     (an evicted or removed connection no longer counts)
class ConnectionTable {
 public:
  explicit ConnectionTable(std::size_t max) : max_(max) {}

  struct Admission {
    std::uint64_t id = 0;  ///< 0: refused
    bool evicted_another = false;
  };
  /// Makes room by shutting an idle connection's socket down; its thread finds out and leaves.
  Admission Admit(int fd);
  void MarkIdle(std::uint64_t id);
  /// False if the connection has been evicted meanwhile: it must be closed.
  bool MarkBusy(std::uint64_t id);
  /// Before the descriptor is closed.
  void Remove(std::uint64_t id);
  std::size_t size() const;

 private:
  struct Entry {
    int fd = -1;
    std::uint64_t idle_since = 0;  ///< 0: busy; else a counter, smallest is longest idle
  };

  const std::size_t max_;
  mutable std::mutex mu_;
  std::uint64_t next_ TESSERA_GUARDED_BY(mu_) = 1;
  std::map<std::uint64_t, Entry> entries_ TESSERA_GUARDED_BY(mu_);
  std::map<std::uint64_t, std::uint64_t> idle_ TESSERA_GUARDED_BY(mu_);  ///< idle_since -> id
};

}  // namespace tessera::http
