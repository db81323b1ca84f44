#include "interceptor/limits_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/contract/names.h"

namespace tessera {
namespace {

const char* LoadFile(const char* path, Limits& limits) {
  char text[4096];
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return "the limits file cannot be opened";
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < sizeof(text)) {
    got = read(fd, text + size, sizeof(text) - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  close(fd);
  if (got < 0) return "the limits file cannot be read";
  if (size == sizeof(text)) return "the limits file is too long";
  return ParseLimits({text, size}, limits);
}

bool Exists(const char* path) { return access(path, F_OK) == 0; }

const char* NonEmpty(const char* text) { return text != nullptr && *text != '\0' ? text : nullptr; }

}  // namespace

const char* LoadLimits(Limits& limits) {
  if (Exists(names::kLimitsDir)) return LoadFile(names::kLimitsPath, limits);
  if (const char* path = NonEmpty(getenv(names::kEnvLimitsFile))) return LoadFile(path, limits);
  const char* text = getenv(names::kEnvLimits);
  if (text == nullptr) return "there is no limits file and TESSERA_LIMITS is not set";
  return ParseLimits(text, limits);
}

const char* FindRegionDirectory() {
  if (Exists(names::kRegionDir)) return names::kRegionDir;
  return NonEmpty(getenv(names::kEnvRegionDir));
}

}  // namespace tessera
