#include "agent/mps/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

extern char** environ;

namespace tessera::agent::mps {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kPoll{2};
constexpr std::size_t kMostText = 65536;

/// A file in memory. Not a pipe: a daemon that keeps it open neither blocks us nor gets SIGPIPE.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& text) : fd_(memfd_create("tessera-mps", MFD_CLOEXEC)) {
    if (fd_ >= 0 && pwrite(fd_, text.data(), text.size(), 0) < 0) Close();
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { Close(); }
  int fd() const { return fd_; }
  std::string Read() const {
    std::string text(kMostText, '\0');
    const ssize_t size = pread(fd_, text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

 private:
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int fd_;
};

std::vector<std::string> Environment(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!changes.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : changes) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// The process id; -1 if it cannot be started.
pid_t Spawn(std::vector<std::string> command, std::vector<std::string> environment, int input,
            int output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, command[0].c_str(), &files, &attributes,
                                Pointers(command).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error == 0 ? pid : -1;
}

/// Its wait status; nothing if it had to be killed.
std::optional<int> WaitFor(pid_t pid, Milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return std::nullopt;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return status;
}

}  // namespace

std::optional<Output> RunProgram(const std::vector<std::string>& command,
                                 const std::map<std::string, std::string>& environment,
                                 const std::string& input, Milliseconds patience) {
  const MemoryFile in(input);
  const MemoryFile out("");
  if (command.empty() || in.fd() < 0 || out.fd() < 0) return std::nullopt;
  const pid_t pid = Spawn(command, Environment(environment), in.fd(), out.fd());
  if (pid < 0) return std::nullopt;
  const auto status = WaitFor(pid, patience);
  if (!status) return std::nullopt;
  return Output{.status = WIFEXITED(*status) ? WEXITSTATUS(*status) : -1, .text = out.Read()};
}

std::optional<std::string> FindProgram(const std::string& name) {
  const auto runs = [](const std::string& path) { return access(path.c_str(), X_OK) == 0; };
  if (name.find('/') != std::string::npos) {
    return runs(name) ? std::optional(name) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::string rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::string file = rest.substr(0, colon) + "/" + name;
    if (file[0] == '/' && runs(file)) return file;
    if (colon == std::string::npos) break;
    rest.erase(0, colon + 1);
  }
  return std::nullopt;
}

}  // namespace tessera::agent::mps
