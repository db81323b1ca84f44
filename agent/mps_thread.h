#pragma once

#include <thread>

#include "agent/mps/supervisor.h"

namespace tessera::agent {

/// Has the supervisor look at its daemons, in a thread of its own, since a command may take
/// seconds; logs what it did. Its end ends no daemon: pods go on while the agent is away.
class MpsThread {
 public:
  /// `supervisor` must outlive this.
  explicit MpsThread(mps::Supervisor& supervisor);

 private:
  std::jthread thread_;
};

}  // namespace tessera::agent
