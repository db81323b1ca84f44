#include "webhook/certificates_x509.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <memory>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace tessera::webhook {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;

tl::unexpected<Error> OpenSslError(const std::string& what) {
  const unsigned long code = ERR_get_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return Fail(Errc::kInternal, what + ": " + (reason == nullptr ? "failed" : reason));
}

Bio ReadBio(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// Keys here have no password; without this OpenSSL would ask on the terminal for one.
int NoPassword(char*, int, int, void*) { return 0; }

Certificate ParseCertificate(std::string_view pem) {
  const Bio bio = ReadBio(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return certificate;
}

Key ParseKey(std::string_view pem) {
  const Bio bio = ReadBio(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  return key;
}

std::string TakeText(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

Result<KeyPair> Encode(X509* certificate, EVP_PKEY* key) {
  const Bio certificate_bio(BIO_new(BIO_s_mem()));
  const Bio key_bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_bio.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(key_bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return OpenSslError("PEM encoding");
  }
  return KeyPair{TakeText(certificate_bio), TakeText(key_bio)};
}

bool IsAddress(const std::string& name) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

/// "DNS:a,IP:127.0.0.1". Refuses what would be read as something else than one name.
Result<std::string> SubjectNames(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    const bool address = IsAddress(name);
    const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '*';
    });
    if (name.empty() || name.size() > 253 || (!address && !plain)) {
      return Fail(Errc::kInvalidArgument, "\"" + name + "\" is neither a DNS name nor an address");
    }
    if (!text.empty()) text += ",";
    text += (address ? "IP:" : "DNS:") + name;
  }
  if (text.empty()) return Fail(Errc::kInvalidArgument, "a certificate needs at least one name");
  return text;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(bytes, sizeof bytes, nullptr);
  const bool set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return set;
}

/// A version 3 certificate with key, serial, subject and dates; not signed yet.
Certificate Begin(EVP_PKEY* key, const char* subject, const Lifetime& lifetime) {
  Certificate certificate(X509_new());
  const std::time_t from = std::chrono::system_clock::to_time_t(lifetime.from);
  const std::time_t until = std::chrono::system_clock::to_time_t(lifetime.from + lifetime.life);
  X509* raw = certificate.get();
  const bool good =
      raw != nullptr && X509_set_version(raw, X509_VERSION_3) == 1 && SetSerial(raw) &&
      ASN1_TIME_set(X509_getm_notBefore(raw), from) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(raw), until) != nullptr && X509_set_pubkey(raw, key) == 1 &&
      X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(subject), -1, -1, 0) == 1;
  return good ? std::move(certificate) : nullptr;
}

WallTime TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

std::string AddressText(const ASN1_OCTET_STRING* octets) {
  char text[INET6_ADDRSTRLEN] = "";
  const int family = ASN1_STRING_length(octets) == 4 ? AF_INET : AF_INET6;
  const bool known = ASN1_STRING_length(octets) == 4 || ASN1_STRING_length(octets) == 16;
  if (known) inet_ntop(family, ASN1_STRING_get0_data(octets), text, sizeof text);
  return text;
}

std::vector<std::string> NamesOf(const X509* certificate) {
  std::vector<std::string> texts;
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_IPADD) {
      texts.push_back(AddressText(name->d.iPAddress));
    } else if (name->type == GEN_DNS) {
      texts.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    }
  }
  return texts;
}

}  // namespace

Result<KeyPair> MakeAuthority(const Lifetime& lifetime) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return OpenSslError("CA key");
  const Certificate ca = Begin(key.get(), "tessera-webhook-ca", lifetime);
  if (!ca || X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get())) != 1 ||
      !AddExtension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(ca.get(), ca.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(ca.get(), key.get(), EVP_sha256()) == 0) {
    return OpenSslError("CA certificate");
  }
  return Encode(ca.get(), key.get());
}

Result<KeyPair> MakeLeaf(const KeyPair& authority, const std::vector<std::string>& names,
                         const Lifetime& lifetime) {
  TESSERA_TRY(const std::string subject_names, SubjectNames(names));
  const Certificate ca = ParseCertificate(authority.certificate);
  const Key ca_key = ParseKey(authority.key);
  if (!ca || !ca_key) return Fail(Errc::kInternal, "the CA cannot be read");
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return OpenSslError("server key");
  const Certificate leaf = Begin(key.get(), "tessera-webhook", lifetime);
  if (!leaf || X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca.get())) != 1 ||
      !AddExtension(leaf.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(leaf.get(), ca.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(leaf.get(), ca.get(), NID_ext_key_usage, "serverAuth") ||
      !AddExtension(leaf.get(), ca.get(), NID_authority_key_identifier, "keyid") ||
      !AddExtension(leaf.get(), ca.get(), NID_subject_alt_name, subject_names) ||
      X509_sign(leaf.get(), ca_key.get(), EVP_sha256()) == 0) {
    return OpenSslError("server certificate");
  }
  return Encode(leaf.get(), key.get());
}

std::optional<CertificateState> Inspect(const KeyPair& pair, std::string_view authority) {
  const Certificate certificate = ParseCertificate(pair.certificate);
  if (!certificate) return std::nullopt;
  const Key key = ParseKey(pair.key);
  const Certificate ca = ParseCertificate(authority);
  CertificateState state;
  state.not_before = TimeOf(X509_get0_notBefore(certificate.get()));
  state.not_after = TimeOf(X509_get0_notAfter(certificate.get()));
  state.names = NamesOf(certificate.get());
  state.key_matches = key && X509_check_private_key(certificate.get(), key.get()) == 1;
  state.signed_by_ca = ca && X509_check_issued(ca.get(), certificate.get()) == X509_V_OK &&
                       X509_verify(certificate.get(), X509_get0_pubkey(ca.get())) == 1;
  ERR_clear_error();
  return state;
}

}  // namespace tessera::webhook
