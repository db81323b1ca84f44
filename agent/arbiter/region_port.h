#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

#include "agent/arbiter/arbiter.h"
#include "interceptor/region/layout.h"

namespace tessera::agent {

/// The arbiter's door to one GPU of one container's region. The tenant owns that file and may do
/// with it what he likes: it is never mapped, no link is followed, and nothing but a regular file
/// of the right size, version and GPU is read or written, some 100 bytes at one place. One thread
/// only.
class RegionPort {
 public:
  RegionPort(std::string path, std::string gpu_uuid);
  ~RegionPort();
  RegionPort(const RegionPort&) = delete;
  RegionPort& operator=(const RegionPort&) = delete;

  struct Demand {
    bool attached = false;
    bool wanting = false;
    bool running = false;
    bool held = false;  ///< by its own share
    // As it counts itself:
    std::uint64_t used_ns = 0;
    std::uint64_t throttled_ns = 0;
    std::uint64_t launches = 0;
    std::uint64_t shallow_launches = 0;
  };
  /// What the container wants now. Opens the file when there is one, and the other one when it was
  /// replaced.
  Demand Look(std::uint64_t now_ns);

  /// Writes if the grant is another one or the last heartbeat is due. Never blocks on the tenant.
  /// False: it could not be written.
  bool Tell(const TenantGrant& grant, std::uint64_t now_ns);

 private:
  using Bits = std::array<std::uint64_t, region::kMaxProcesses / 64>;

  void Open();
  void CloseFile();
  bool IsReplaced() const;
  void JudgeSlots(const Bits& bits, std::uint64_t now_ns);

  const std::string path_;
  const std::string gpu_uuid_;
  int fd_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  off_t at_ = 0;  ///< of the GPU in the file
  std::uint64_t next_check_ns_ = 0;
  std::uint64_t next_judgement_ns_ = 0;
  Bits dead_{};  ///< slots whose owner is gone, of those that said something
  TenantGrant told_;
  std::uint64_t told_ns_ = 0;  ///< 0: nothing yet
};

}  // namespace tessera::agent
