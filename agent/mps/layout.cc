#include "agent/mps/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/contract/names.h"

namespace tessera::agent::mps {
namespace {

/// Everybody passes; only we write.
constexpr mode_t kOurs = 0755;
/// Everybody writes, each his own.
constexpr mode_t kEverybodys = 01777;

std::string Why(const std::string& path) { return path + ": " + std::strerror(errno); }

std::string MakeFolder(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return Why(path);
  // Whatever the umask was; also one that another version left. A link is none of ours.
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return Why(path);
  const int changed = fchmod(fd, mode);
  const std::string why = changed == 0 ? "" : Why(path);
  close(fd);
  return why;
}

}  // namespace

bool IsPlainUuid(const std::string& uuid) {
  constexpr std::size_t kLongest = 128;
  return !uuid.empty() && uuid.size() <= kLongest && uuid[0] != '-' && uuid[0] != '.' &&
         uuid.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") ==
             std::string::npos;
}

std::string Layout::Pipe(const std::string& uuid) const {
  return root_ + "/" + uuid + "/" + names::kMpsPipeName;
}
std::string Layout::Log(const std::string& uuid) const {
  return root_ + "/" + uuid + "/" + names::kMpsLogName;
}
std::string Layout::Gate(const std::string& uuid) const {
  return root_ + "/" + names::kMpsReadyDir + "/" + uuid;
}

std::string Layout::Prepare(const std::string& uuid) const {
  std::string why;
  const auto make = [&](const std::string& path, mode_t mode) {
    if (why.empty()) why = MakeFolder(path, mode);
  };
  make(root_, kOurs);
  make(root_ + "/" + names::kMpsReadyDir, kOurs);
  make(root_ + "/" + names::kMpsShmName, kEverybodys);
  make(root_ + "/" + uuid, kOurs);
  make(Pipe(uuid), kEverybodys);
  make(Log(uuid), kEverybodys);
  struct stat gate {};
  if (why.empty() && lstat(Gate(uuid).c_str(), &gate) != 0) why = SetGate(uuid, false);
  return why;
}

bool Layout::IsOpen(const std::string& uuid) const {
  struct stat gate {};
  return lstat(Gate(uuid).c_str(), &gate) == 0 && S_ISLNK(gate.st_mode);
}

std::string Layout::SetGate(const std::string& uuid, bool open) const {
  const std::string gate = Gate(uuid);
  struct stat present {};
  const bool there = lstat(gate.c_str(), &present) == 0;
  if (there && (open ? S_ISLNK(present.st_mode) : S_ISREG(present.st_mode))) return "";
  const std::string next = gate + ".next";
  unlink(next.c_str());
  if (open) {
    if (symlink(("../" + uuid).c_str(), next.c_str()) != 0) return Why(next);
  } else {
    const int fd = ::open(next.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
    if (fd < 0) return Why(next);
    close(fd);
  }
  return rename(next.c_str(), gate.c_str()) == 0 ? "" : Why(gate);
}

}  // namespace tessera::agent::mps
