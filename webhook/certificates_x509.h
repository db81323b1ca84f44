#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "webhook/certificate_rotation.h"

/// Certificates (ECDSA P-256, SHA-256) made and read with OpenSSL. No files, no clock.
namespace tessera::webhook {

/// PEM texts.
struct KeyPair {
  std::string certificate;
  std::string key;
};

struct Lifetime {
  WallTime from;
  std::chrono::seconds life;
};

/// A certificate authority that signs itself.
Result<KeyPair> MakeAuthority(const Lifetime& lifetime);

/// A server certificate for `names` (DNS names, IP addresses). Errors: kInvalidArgument names the
/// bad name.
Result<KeyPair> MakeLeaf(const KeyPair& authority, const std::vector<std::string>& names,
                         const Lifetime& lifetime);

/// What a pair on disk is; `authority` is the PEM of the CA that should have signed it. Nothing if
/// the certificate cannot be read; a key that cannot be read does not match.
std::optional<CertificateState> Inspect(const KeyPair& pair, std::string_view authority);

}  // namespace tessera::webhook
