#pragma once

#include <string>
#include <vector>

#include "agent/mps/layout.h"
#include "agent/mps/planner.h"

namespace tessera::agent::mps {

/// Talks to the control daemons (interface 2, on every driver) through the program that starts
/// them: a daemon is found by its folder, so one that another process started is as good as ours.
/// Every call ends within `patience` for each command. Thread-compatible.
class Control {
 public:
  /// `program`: a path. `arguments` are added to -d where a daemon is started. `layout` must
  /// outlive this.
  Control(std::string program, std::vector<std::string> arguments, const Layout& layout,
          std::chrono::milliseconds patience);

  /// Starts the daemon of one GPU in the background; it survives us. Returns why not; empty: done.
  std::string Start(const std::string& uuid) const;
  /// Ends it and its servers. REQUIRES, for the clients' sake: it has none.
  std::string Quit(const std::string& uuid) const;
  Observation Ask(const std::string& uuid) const;

 private:
  struct Answer {
    bool ok = false;
    std::string text;
  };
  Answer Say(const std::string& uuid, const std::string& command) const;

  const std::string program_;
  const std::vector<std::string> arguments_;
  const Layout& layout_;
  const std::chrono::milliseconds patience_;
};

/// The process ids that a daemon lists, one a line; other lines are none.
std::vector<std::string> ListedPids(const std::string& text);

}  // namespace tessera::agent::mps
