#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "common/http/server.h"

namespace tessera::http {

/// What /healthz, /livez and /readyz say. Thread-safe once all checks are added.
class Health {
 public:
  /// `check` returns an empty string while all is well, else the reason. It must not block.
  void AddReadyCheck(std::string name, std::function<std::string()> check);
  void Drain() { draining_ = true; }

  static Response Live();
  /// One line per check if any fails or if `verbose`; "ok" otherwise.
  Response Ready(bool verbose) const;

 private:
  struct Check {
    std::string name;
    std::function<std::string()> run;
  };
  std::vector<Check> checks_;
  std::atomic<bool> draining_{false};
};

}  // namespace tessera::http
