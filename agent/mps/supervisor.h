#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/mps/control.h"
#include "agent/mps/layout.h"
#include "agent/mps/planner.h"
#include "common/base/clock.h"
#include "common/base/thread_annotations.h"

namespace tessera::agent::mps {

struct Options {
  std::string program = "nvidia-cuda-mps-control";  ///< a path, or a name in PATH
  std::vector<std::string> arguments{};             ///< beside -d
  std::string root;
  std::chrono::milliseconds patience{5000};  ///< with each command
};

/// The daemon of one GPU, as the last look at it told.
struct GpuState {
  bool wanted = false;
  bool offered = false;  ///< further pods may come
  bool open = false;     ///< containers may start as clients
  Observation seen;
  int restarts = 0;
};

struct State {
  bool available = false;                ///< the program is there
  std::string reason;                    ///< why not
  std::map<std::string, GpuState> gpus;  ///< by uuid; those without trouble and without pods too
};

/// Something that happened, for the log. `what` is a constant text.
struct Event {
  const char* what = "";
  std::string uuid;
  std::string reason;
};

/// One MPS daemon for each GPU that has pods of that isolation. Its own memory is no record: after
/// a restart it finds the daemons by their folders. Tick: one thread. The rest: thread-safe.
class Supervisor {
 public:
  /// `clock` must outlive this.
  Supervisor(Options options, const Clock& clock);

  /// The GPUs that may have a daemon. One that leaves keeps its daemon, unwatched.
  void SetGpus(std::set<std::string> uuids);
  /// Those of them that pods of isolation mps were given. Before the first call nothing is started
  /// or stopped.
  void SetWanted(std::set<std::string> uuids);

  /// Looks at the daemons and does what is due. Bounded: a daemon that hangs costs the patience
  /// with a command or two.
  std::vector<Event> Tick();
  State Now() const;

 private:
  struct Gpu {
    Planner planner;
    GpuState state;
    bool prepared = false;
    bool quiet = false;  ///< nobody wants it and it did not answer: not asked again
    Planner::Time next_look{};
    std::string trouble;  ///< that was told last
  };
  void Look(const std::string& uuid, Gpu& gpu, std::optional<bool> wanted, const Control& control);
  void Act(const std::string& uuid, Gpu& gpu, const Plan& plan, const Control& control);
  /// Tells a trouble once, and that it is over by saying nothing.
  void Trouble(const char* what, const std::string& uuid, Gpu& gpu, const std::string& reason);
  void CloseAll(const std::string& reason);

  const Options options_;
  const Clock& clock_;
  const Layout layout_;
  std::map<std::string, Gpu> gpus_;             // Tick's thread
  std::vector<Event> events_;                   // Tick's thread
  std::string unavailable_ = "not looked yet";  // Tick's thread
  mutable std::mutex mu_;
  std::set<std::string> uuids_ TESSERA_GUARDED_BY(mu_);
  std::optional<std::set<std::string>> wanted_ TESSERA_GUARDED_BY(mu_);
  State state_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::agent::mps
