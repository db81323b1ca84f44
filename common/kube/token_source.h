#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "common/base/clock.h"
#include "common/base/thread_annotations.h"

namespace tessera::kube {

/// The bearer token: fixed, or from a file that somebody rotates. Thread-safe.
class TokenSource {
 public:
  static constexpr std::chrono::seconds kReadInterval{60};

  /// `file` wins over `fixed`; both empty: no token.
  TokenSource(std::string fixed, std::string file, const Clock& clock);
  /// The file is read at most every kReadInterval; one that cannot be read leaves the last token.
  std::string Get();
  /// The server refused `token`: read the file again before the next Get. True if that may help.
  bool Refused(const std::string& token);

 private:
  const std::string file_;
  const Clock& clock_;
  std::mutex mu_;
  std::string token_ TESSERA_GUARDED_BY(mu_);
  bool read_ TESSERA_GUARDED_BY(mu_) = false;
  std::chrono::steady_clock::time_point read_at_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::kube
