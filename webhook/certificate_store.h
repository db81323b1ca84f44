#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "webhook/certificates_x509.h"

namespace tessera::webhook {

/// Our own CA and server certificate in a folder: ca.crt, ca.key, tls.crt, tls.key (PEM; keys have
/// mode 0600).
///
/// Each file is replaced atomically; a crash between two files leaves a pair that does not match,
/// which the next EnsureFresh repairs. Several processes may share the folder: a lock file makes
/// one of them write at a time. One thread only.
class CertificateStore {
 public:
  static constexpr std::chrono::hours kAuthorityLife{24 * 3650};
  static constexpr std::chrono::hours kLeafLife{24 * 90};
  /// Certificates begin this much in the past, for clients whose clock is behind.
  static constexpr std::chrono::minutes kBackdate{10};

  /// `names` stand in the server certificate. `clock` must outlive the store.
  CertificateStore(std::string directory, std::vector<std::string> names, const Clock& clock);

  /// Makes what is missing, wrong or old. True if files were written. Errors name the file.
  Result<bool> EnsureFresh();

  std::string certificate_file() const { return directory_ + "/tls.crt"; }
  std::string key_file() const { return directory_ + "/tls.key"; }
  std::string authority_file() const { return directory_ + "/ca.crt"; }

 private:
  Renewal Decide() const;
  Result<void> Renew(Renewal renewal);
  KeyPair ReadPair(std::string_view name) const;
  Result<void> WritePair(std::string_view name, const KeyPair& pair) const;

  const std::string directory_;
  const std::vector<std::string> names_;
  const Clock& clock_;
};

}  // namespace tessera::webhook
