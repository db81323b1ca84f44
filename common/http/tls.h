#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include <openssl/ssl.h>

#include "common/base/result.h"
#include "common/base/thread_annotations.h"

namespace tessera::http {

struct TlsFiles {
  std::string cert_file;  ///< PEM: the certificate, then its intermediates
  std::string key_file;
  std::string client_ca_file;  ///< empty: no client certificate is asked for
};

using SslContext = std::shared_ptr<SSL_CTX>;

/// TLS 1.2 or newer with these files. Errors (kInvalidArgument) name the file.
Result<SslContext> LoadTls(const TlsFiles& files);

/// The context for new connections. Files that have changed are loaded again, at most once in
/// `check_interval`; when that fails the old context stays in use and the reason is logged.
/// Thread-safe.
class ReloadingTls {
 public:
  static Result<std::unique_ptr<ReloadingTls>> Open(TlsFiles files,
                                                    std::chrono::milliseconds check_interval);
  SslContext Current();

 private:
  ReloadingTls(TlsFiles files, std::chrono::milliseconds check_interval, SslContext first);
  /// Changes whenever one of the files is written, replaced or re-linked.
  std::string Fingerprint() const;

  const TlsFiles files_;
  const std::chrono::milliseconds check_interval_;
  std::mutex mu_;
  SslContext current_ TESSERA_GUARDED_BY(mu_);
  std::string fingerprint_ TESSERA_GUARDED_BY(mu_);
  std::string logged_ TESSERA_GUARDED_BY(mu_);  ///< the failure told last, so that it is told once
  std::chrono::steady_clock::time_point checked_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::http
