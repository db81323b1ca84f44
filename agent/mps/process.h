#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tessera::agent::mps {

struct Output {
  int status = -1;   ///< exit status; -1: a signal ended it
  std::string text;  ///< of stdout and stderr
};

/// Runs a program to its end, with `input` as its standard input and the caller's environment
/// changed by `environment`. Nothing if it cannot be started, or if it has not ended by `patience`
/// (then it is killed). What it leaves behind in the background inherits no descriptor and no
/// signal mask of ours, and is in a session of its own. Thread-safe.
std::optional<Output> RunProgram(const std::vector<std::string>& command,
                                 const std::map<std::string, std::string>& environment,
                                 const std::string& input, std::chrono::milliseconds patience);

/// The file that `name` runs: itself if it has a slash, else as PATH finds it; nothing if there is
/// none that may be run.
std::optional<std::string> FindProgram(const std::string& name);

}  // namespace tessera::agent::mps
