#include "sim/cuda/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "sim/gpu/environment.h"

namespace tessera::sim::cuda {
namespace {

int OpenJournal() {
  const auto path = gpu::Environment(gpu::kEnvJournal);
  if (!path || path->empty()) return -1;
  const int fd = open(path->c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) gpu::Complain(std::string(gpu::kEnvJournal) + " " + *path + ": cannot be opened");
  return fd;
}

}  // namespace

CUresult Journal(std::string_view call, std::initializer_list<JournalField> fields,
                 CUresult result) {
  static const int fd = OpenJournal();
  if (fd < 0) return result;
  std::string line = std::to_string(getpid()).append(" ").append(call);
  for (const auto& [name, value] : fields) {
    line.append(" ").append(name).append("=").append(std::to_string(value));
  }
  line.append(" result=").append(std::to_string(static_cast<int>(result))).append("\n");
  const auto written = write(fd, line.data(), line.size());
  (void)written;
  return result;
}

}  // namespace tessera::sim::cuda
