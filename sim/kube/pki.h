#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/base/result.h"

namespace tessera::sim {

/// PEM texts.
struct KeyPair {
  std::string cert_pem;
  std::string key_pem;
};

/// What a certificate says.
struct Subject {
  std::string common_name;
  std::string organization = {};  ///< Kubernetes: the group
  std::vector<std::string> names =
      {};  ///< a server's DNS names and IP addresses; empty: a client's certificate
  std::chrono::hours valid_for{24 * 365};
};

/// A certificate authority for simulated clusters and tests: ECDSA P-256, in memory.
/// Thread-compatible.
class CertificateAuthority {
 public:
  static Result<CertificateAuthority> Create(const std::string& common_name);
  const std::string& cert_pem() const { return cert_pem_; }
  Result<KeyPair> Issue(const Subject& subject) const;

 private:
  using Key = std::shared_ptr<EVP_PKEY>;
  using Certificate = std::shared_ptr<X509>;
  CertificateAuthority(Key key, Certificate certificate, std::string pem)
      : key_(std::move(key)), certificate_(std::move(certificate)), cert_pem_(std::move(pem)) {}

  Key key_;
  Certificate certificate_;
  std::string cert_pem_;
};

/// A kubeconfig with one context, everything inline; what kubectl and kube::LoadConfig read.
std::string KubeconfigText(const std::string& server, const std::string& ca_pem,
                           const KeyPair& client);

}  // namespace tessera::sim
