#include "extender/workload_file.h"

#include <cstdio>
#include <fstream>
#include <sstream>

#include "common/base/log.h"

namespace tessera::extender {

std::string ReadWorkload(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

void WriteWorkload(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  const std::string temporary = path + ".new";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << text << std::flush;
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    log::Warn("cannot save the workload", {{"file", path}});
  }
}

}  // namespace tessera::extender
