#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "sim/demo/waiter.h"
#include "sim/runner/process.h"

namespace tessera::sim {

struct ComponentSpec {
  std::string name;               ///< also of its log and port file
  std::vector<std::string> argv;  ///< without --port and --port-file, which Component adds
  std::vector<std::string> env;
  bool tls = false;
  std::string ca_file;  ///< of its certificate, with tls
};

/// One of our servers as a process of its own, on a free port. One thread only.
class Component {
 public:
  /// Starts it with `--port 0 --port-file <folder>/<name>.port`; its output goes to
  /// <folder>/<name>.log.
  static Result<std::unique_ptr<Component>> Start(ComponentSpec spec,
                                                  const std::filesystem::path& folder);
  ~Component();  ///< SIGTERM, after 5 s SIGKILL

  /// Waits until the port is known, or until /readyz answers 200. Errors name the component.
  Result<void> WaitPort(Waiter& waiter);
  Result<void> WaitReady(Waiter& waiter);
  /// GET, with status 200 as the only success.
  Result<std::string> Get(const std::string& target) const;

  const std::string& name() const { return spec_.name; }
  std::string url() const;
  const std::filesystem::path& log() const { return log_; }
  /// False once it has ended by itself.
  bool alive() { return !process_->Ended(); }
  /// Ends it and returns its exit code.
  int Stop();

 private:
  Component(ComponentSpec spec, std::filesystem::path folder)
      : spec_(std::move(spec)),
        port_file_(folder / (spec_.name + ".port")),
        log_(folder / (spec_.name + ".log")) {}

  const ComponentSpec spec_;
  const std::filesystem::path port_file_;
  const std::filesystem::path log_;
  std::unique_ptr<Process> process_;
  int port_ = 0;
};

}  // namespace tessera::sim
