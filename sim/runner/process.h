#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/thread_annotations.h"

namespace tessera::sim {

struct ProcessSpec {
  std::vector<std::string> argv;  ///< [0] is a path, or a name that FindExecutable finds
  std::vector<std::string> env;   ///< "NAME=value", the whole environment
  std::string cwd;                ///< empty: ours
  std::string output_file;        ///< stdout and stderr are appended to it
};

/// A local process in a process group of its own. It is killed when the thread that started it
/// ends, so nothing outlives us, whatever happens to us. It starts with no signal blocked or
/// ignored. Thread-safe.
class Process {
 public:
  /// Errors: kNotFound (no such program), kInternal (fork, exec or the output file; named).
  static Result<std::unique_ptr<Process>> Start(const ProcessSpec& spec);
  ~Process();  ///< kills the group and waits
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Blocks until the process has ended, then kills what is left of its group. Returns the exit
  /// code, 128 + n after signal n. May be called again.
  int Wait();
  /// True once it has ended; never blocks.
  bool Ended();
  /// Sends a signal to the whole group; nothing happens after the end.
  void Signal(int number);
  pid_t pid() const { return pid_; }

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  void Reap();

  const pid_t pid_;
  std::mutex mu_;
  bool reaped_ TESSERA_GUARDED_BY(mu_) = false;
  int exit_code_ TESSERA_GUARDED_BY(mu_) = 0;
};

/// `name` itself if it holds a slash, else the first executable of that name in the ':'-separated
/// `path`. Empty: none.
std::string FindExecutable(const std::string& name, const std::string& path);

}  // namespace tessera::sim
