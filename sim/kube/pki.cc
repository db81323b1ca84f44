#include "sim/kube/pki.h"

#include <arpa/inet.h>

#include <array>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "common/base/base64.h"

namespace tessera::sim {
namespace {

using KeyRef = std::shared_ptr<EVP_PKEY>;
using CertRef = std::shared_ptr<X509>;

constexpr long kClockSkewSeconds = 300;

tl::unexpected<Error> OpenSslError(const char* what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  return Fail(Errc::kInternal, std::string(what) + ": " + text.data());
}

std::string Drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

template <typename Write>
std::string Pem(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  write(bio.get());
  return Drain(bio.get());
}

bool AddName(X509_NAME* name, const char* field, const std::string& text) {
  return text.empty() ||
         X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

std::string AlternativeNames(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    std::array<unsigned char, 16> address;
    const bool ip = inet_pton(AF_INET, name.c_str(), address.data()) == 1 ||
                    inet_pton(AF_INET6, name.c_str(), address.data()) == 1;
    out += (out.empty() ? "" : ",") + std::string(ip ? "IP:" : "DNS:") + name;
  }
  return out;
}

/// Everything but issuer, extensions and signature.
CertRef Blank(const Subject& subject, EVP_PKEY* key) {
  CertRef certificate(X509_new(), X509_free);
  X509* raw = certificate.get();
  std::array<unsigned char, 16> serial{};
  RAND_bytes(serial.data(), serial.size());
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      BN_bin2bn(serial.data(), serial.size(), nullptr), BN_free);
  X509_set_version(raw, X509_VERSION_3);
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(raw));
  X509_gmtime_adj(X509_getm_notBefore(raw), -kClockSkewSeconds);
  X509_gmtime_adj(X509_getm_notAfter(raw),
                  std::chrono::duration_cast<std::chrono::seconds>(subject.valid_for).count());
  X509_set_pubkey(raw, key);
  X509_NAME* name = X509_get_subject_name(raw);
  const bool named =
      AddName(name, "O", subject.organization) && AddName(name, "CN", subject.common_name);
  return named ? certificate : nullptr;
}

KeyPair ToPem(X509* certificate, EVP_PKEY* key) {
  return {.cert_pem = Pem([&](BIO* out) { PEM_write_bio_X509(out, certificate); }),
          .key_pem = Pem([&](BIO* out) {
            PEM_write_bio_PKCS8PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace

Result<CertificateAuthority> CertificateAuthority::Create(const std::string& common_name) {
  Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (!key) return OpenSslError("key");
  Certificate certificate = Blank({.common_name = common_name}, key.get());
  if (!certificate) return OpenSslError("certificate name");
  X509* raw = certificate.get();
  X509_set_issuer_name(raw, X509_get_subject_name(raw));
  if (!AddExtension(raw, raw, NID_basic_constraints, "critical,CA:TRUE") ||
      !AddExtension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature") ||
      !AddExtension(raw, raw, NID_subject_key_identifier, "hash") ||
      X509_sign(raw, key.get(), EVP_sha256()) == 0) {
    return OpenSslError("CA certificate");
  }
  std::string pem = ToPem(raw, key.get()).cert_pem;
  return CertificateAuthority(std::move(key), std::move(certificate), std::move(pem));
}

Result<KeyPair> CertificateAuthority::Issue(const Subject& subject) const {
  const KeyRef key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (!key) return OpenSslError("key");
  const CertRef certificate = Blank(subject, key.get());
  if (!certificate) return OpenSslError("certificate name");
  X509* raw = certificate.get();
  const bool server = !subject.names.empty();
  X509_set_issuer_name(raw, X509_get_subject_name(certificate_.get()));
  if (!AddExtension(raw, certificate_.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(raw, certificate_.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(raw, certificate_.get(), NID_ext_key_usage,
                    server ? "serverAuth" : "clientAuth") ||
      !AddExtension(raw, certificate_.get(), NID_authority_key_identifier, "keyid") ||
      (server && !AddExtension(raw, certificate_.get(), NID_subject_alt_name,
                               AlternativeNames(subject.names))) ||
      X509_sign(raw, key_.get(), EVP_sha256()) == 0) {
    return OpenSslError("certificate");
  }
  return ToPem(raw, key.get());
}

std::string KubeconfigText(const std::string& server, const std::string& ca_pem,
                           const KeyPair& client) {
  return "apiVersion: v1\n"
         "kind: Config\n"
         "current-context: tessera-sim\n"
         "contexts:\n"
         "- name: tessera-sim\n"
         "  context: {cluster: tessera-sim, user: tessera-sim}\n"
         "clusters:\n"
         "- name: tessera-sim\n"
         "  cluster:\n"
         "    server: " +
         server + "\n" + "    certificate-authority-data: " + base64::Encode(ca_pem) + "\n" +
         "users:\n"
         "- name: tessera-sim\n"
         "  user:\n"
         "    client-certificate-data: " +
         base64::Encode(client.cert_pem) + "\n" +
         "    client-key-data: " + base64::Encode(client.key_pem) + "\n";
}

}  // namespace tessera::sim
