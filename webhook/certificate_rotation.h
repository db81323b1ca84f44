#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

/// When a certificate of our own must be made anew. Pure: the time is an argument.
namespace tessera::webhook {

using WallTime = std::chrono::system_clock::time_point;

/// What is known of a certificate and its key on disk.
struct CertificateState {
  WallTime not_before;
  WallTime not_after;
  std::vector<std::string> names;  ///< DNS names and IP addresses, as they stand in the certificate
  bool key_matches = false;
  bool signed_by_ca = false;  ///< by the CA beside it
};

enum class Renewal {
  kNone,
  kLeaf,  ///< the CA stays, so clients that trust it see no change
  kAll,
};

/// The leaf is renewed at two thirds of its life, when it does not fit its key, its CA or `names`,
/// and when the clock stands before its begin. The CA is made anew (and then everything is) when it
/// is missing, does not fit its key, or would not outlive a leaf of `leaf_life`. std::nullopt means
/// missing or unreadable.
Renewal DecideRenewal(const std::optional<CertificateState>& authority,
                      const std::optional<CertificateState>& leaf,
                      const std::vector<std::string>& names, std::chrono::seconds leaf_life,
                      WallTime now);

}  // namespace tessera::webhook
