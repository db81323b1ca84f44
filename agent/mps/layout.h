#pragma once

#include <string>

namespace tessera::agent::mps {

/// The folders of MPS on a node, which clients mount; agent/README.md draws them.
/// Thread-compatible.
class Layout {
 public:
  explicit Layout(std::string root) : root_(std::move(root)) {}

  std::string Pipe(const std::string& uuid) const;
  std::string Log(const std::string& uuid) const;

  /// Makes what is missing, for one GPU; a gate that is not there is made closed. Servers run as
  /// their clients' users and write here too. Returns why not; empty: done.
  std::string Prepare(const std::string& uuid) const;
  /// Atomic. The same again changes nothing. Returns why not; empty: done.
  std::string SetGate(const std::string& uuid, bool open) const;
  bool IsOpen(const std::string& uuid) const;

 private:
  std::string Gate(const std::string& uuid) const;

  const std::string root_;
};

/// True for what may stand in a path and in a variable: "GPU-8f2c…", "MIG-…".
bool IsPlainUuid(const std::string& uuid);

}  // namespace tessera::agent::mps
