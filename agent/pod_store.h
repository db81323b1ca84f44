#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "agent/pod.h"
#include "common/base/thread_annotations.h"

namespace tessera::agent {

/// The pods of this node, as the watch tells them. Only those with an assignment (readable or not)
/// are kept. Thread-safe.
class PodStore {
 public:
  void Upsert(Pod pod);
  /// `key` is namespace/name.
  void Remove(std::string_view key);
  /// A copy, ordered by key.
  std::vector<Pod> List() const;

 private:
  mutable std::mutex mu_;
  std::map<std::string, Pod, std::less<>> pods_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::agent
