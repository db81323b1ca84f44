#include "sim/gpu/environment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tessera::sim::gpu {
namespace {

Result<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Fail(Errc::kNotFound, std::strerror(errno));
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > (1U << 20)) break;
  }
  const int error = errno;
  close(fd);
  if (got < 0) return Fail(Errc::kUnavailable, std::strerror(error));
  if (text.size() > (1U << 20)) return Fail(Errc::kInvalidArgument, "longer than 1 MiB");
  return text;
}

std::string DefaultStateFolder() {
  const std::string name = "/tessera-sim-" + std::to_string(getuid());
  if (access("/dev/shm", W_OK) == 0) return "/dev/shm" + name;
  const auto temporary = Environment("TMPDIR");
  return (temporary && !temporary->empty() ? *temporary : "/tmp") + name;
}

}  // namespace

std::optional<std::string> Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

Result<MachineConfig> LoadMachine() {
  const auto path = Environment(kEnvGpus);
  if (!path || path->empty()) return DefaultMachine();
  const std::string where = std::string(kEnvGpus) + " " + *path;
  const auto text = ReadFile(*path);
  if (!text) return Wrap(text.error(), where);
  auto machine = ParseMachine(*text);
  if (!machine) return Wrap(machine.error(), where);
  return machine;
}

Result<std::string> StateFolder() {
  const auto configured = Environment(kEnvState);
  const std::string folder =
      configured && !configured->empty() ? *configured : DefaultStateFolder();
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail(Errc::kUnavailable,
                std::string(kEnvState) + " " + folder + ": " + std::strerror(errno));
  }
  return folder;
}

void Complain(const std::string& message) {
  const std::string line = "tessera-sim: " + message + "\n";
  const auto written = write(STDERR_FILENO, line.data(), line.size());
  (void)written;
}

}  // namespace tessera::sim::gpu
