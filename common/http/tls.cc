#include "common/http/tls.h"

#include <sys/stat.h>

#include <utility>

#include <openssl/err.h>

#include "common/base/log.h"

namespace tessera::http {
namespace {

tl::unexpected<Error> TlsError(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return Fail(Errc::kInvalidArgument, what + ": " + (reason == nullptr ? "unreadable" : reason));
}

}  // namespace

Result<SslContext> LoadTls(const TlsFiles& files) {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return TlsError("TLS context");
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char kSession[] = "tessera";
  SSL_CTX_set_session_id_context(raw, kSession, sizeof kSession - 1);
  if (SSL_CTX_use_certificate_chain_file(raw, files.cert_file.c_str()) != 1) {
    return TlsError("certificate file " + files.cert_file);
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return TlsError("private key file " + files.key_file);
  }
  if (SSL_CTX_check_private_key(raw) != 1) {
    return TlsError("private key file " + files.key_file + " for " + files.cert_file);
  }
  if (!files.client_ca_file.empty()) {
    if (SSL_CTX_load_verify_file(raw, files.client_ca_file.c_str()) != 1) {
      return TlsError("client CA file " + files.client_ca_file);
    }
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(files.client_ca_file.c_str()));
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

Result<std::unique_ptr<ReloadingTls>> ReloadingTls::Open(TlsFiles files,
                                                         std::chrono::milliseconds check_interval) {
  TESSERA_TRY(auto first, LoadTls(files));
  return std::unique_ptr<ReloadingTls>(
      new ReloadingTls(std::move(files), check_interval, std::move(first)));
}

ReloadingTls::ReloadingTls(TlsFiles files, std::chrono::milliseconds check_interval,
                           SslContext first)
    : files_(std::move(files)),
      check_interval_(check_interval),
      current_(std::move(first)),
      fingerprint_(Fingerprint()),
      checked_(std::chrono::steady_clock::now()) {}

SslContext ReloadingTls::Current() {
  const std::lock_guard lock(mu_);
  const auto now = std::chrono::steady_clock::now();
  if (now - checked_ < check_interval_) return current_;
  checked_ = now;
  std::string fingerprint = Fingerprint();
  if (fingerprint == fingerprint_) return current_;
  auto loaded = LoadTls(files_);
  if (loaded) {
    current_ = *std::move(loaded);
    fingerprint_ = std::move(fingerprint);
    logged_.clear();
    log::Info("certificate reloaded", {{"file", files_.cert_file}});
  } else if (std::exchange(logged_, fingerprint) != fingerprint) {
    log::Error("certificate not reloaded; the old one stays", {{"reason", loaded.error().message}});
  }
  return current_;
}

std::string ReloadingTls::Fingerprint() const {
  std::string all;
  for (const std::string* file : {&files_.cert_file, &files_.key_file, &files_.client_ca_file}) {
    struct stat info {};
    if (file->empty() || stat(file->c_str(), &info) != 0) {
      all += "-;";
      continue;
    }
    for (const auto part :
         {static_cast<long long>(info.st_ino), static_cast<long long>(info.st_size),
          static_cast<long long>(info.st_mtim.tv_sec),
          static_cast<long long>(info.st_mtim.tv_nsec)}) {
      all += std::to_string(part) + ",";
    }
    all += ";";
  }
  return all;
}

}  // namespace tessera::http
