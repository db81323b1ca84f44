#include "webhook/certificate_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace tessera::webhook {
namespace {

tl::unexpected<Error> FileError(const std::string& path) {
  return Fail(Errc::kUnavailable, path + ": " + std::strerror(errno));
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

/// The file has the old content or the new one, never a part, also after a power cut.
Result<void> ReplaceFile(const std::string& path, std::string_view text, mode_t mode) {
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());
  {
    const FileDescriptor file(
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    // fchmod: the mode of open is cut by the umask.
    if (file.get() < 0 || fchmod(file.get(), mode) != 0 || !WriteAll(file.get(), text) ||
        fsync(file.get()) != 0) {
      return FileError(temporary);
    }
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return FileError(path);
  return {};
}

}  // namespace

CertificateStore::CertificateStore(std::string directory, std::vector<std::string> names,
                                   const Clock& clock)
    : directory_(std::move(directory)), names_(std::move(names)), clock_(clock) {}

Result<bool> CertificateStore::EnsureFresh() {
  if (Decide() == Renewal::kNone) return false;
  std::error_code ignored;
  std::filesystem::create_directories(directory_, ignored);
  const std::string lock_path = directory_ + "/.lock";
  const FileDescriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0 || flock(lock.get(), LOCK_EX) != 0) return FileError(lock_path);
  // Another process may have renewed while we waited.
  const Renewal renewal = Decide();
  if (renewal == Renewal::kNone) return false;
  if (const auto ok = Renew(renewal); !ok) return tl::make_unexpected(ok.error());
  return true;
}

Renewal CertificateStore::Decide() const {
  const KeyPair authority = ReadPair("ca");
  return DecideRenewal(Inspect(authority, authority.certificate),
                       Inspect(ReadPair("tls"), authority.certificate), names_, kLeafLife,
                       clock_.WallNow());
}

Result<void> CertificateStore::Renew(Renewal renewal) {
  const WallTime from = clock_.WallNow() - kBackdate;
  KeyPair authority = ReadPair("ca");
  if (renewal == Renewal::kAll) {
    TESSERA_TRY(authority, MakeAuthority({from, kAuthorityLife}));
  }
  TESSERA_TRY(const KeyPair leaf, MakeLeaf(authority, names_, {from, kLeafLife}));
  if (renewal == Renewal::kAll) {
    if (const auto ok = WritePair("ca", authority); !ok) return ok;
  }
  return WritePair("tls", leaf);
}

KeyPair CertificateStore::ReadPair(std::string_view name) const {
  const std::string base = directory_ + "/" + std::string(name);
  return {ReadFile(base + ".crt"), ReadFile(base + ".key")};
}

Result<void> CertificateStore::WritePair(std::string_view name, const KeyPair& pair) const {
  const std::string base = directory_ + "/" + std::string(name);
  if (const auto ok = ReplaceFile(base + ".key", pair.key, 0600); !ok) return ok;
  return ReplaceFile(base + ".crt", pair.certificate, 0644);
}

}  // namespace tessera::webhook
