#include "sim/demo/layout.h"

#include <stdlib.h>

#include <fstream>
#include <sstream>
#include <system_error>

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;

}  // namespace

Result<Layout> FindLayout() {
  std::error_code code;
  const fs::path self = fs::read_symlink("/proc/self/exe", code);
  if (code) return Fail(Errc::kInternal, "/proc/self/exe: " + code.message());
  Layout layout;
  layout.bin_dir = self.parent_path();
  layout.lib_dir = self.parent_path().parent_path() / "lib";
  std::string missing;
  for (const fs::path& file :
       {layout.Program("tessera-extender"), layout.Program("tessera-webhook"),
        layout.Program("tessera-agent"), layout.Program("tessera-probe"), layout.interceptor(),
        layout.driver_dir() / "libcuda.so.1", layout.nvml()}) {
    if (!fs::exists(file, code)) missing += " " + file.string();
  }
  if (!missing.empty()) return Fail(Errc::kNotFound, "not built:" + missing);
  return layout;
}

fs::path FindExamples(const Layout& layout) {
  std::error_code code;
  for (const fs::path& folder : {layout.bin_dir / "../share/tessera/examples",
                                 layout.bin_dir / "../../../manifests/examples"}) {
    if (fs::is_directory(folder, code)) return fs::canonical(folder, code);
  }
  return {};
}

Result<WorkFolder> WorkFolder::Create() {
  std::error_code code;
  const fs::path base = fs::temp_directory_path(code);
  std::string name = ((code ? fs::path("/tmp") : base) / "tessera-demo-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return Fail(Errc::kInternal, name + ": cannot be made");
  return WorkFolder(name);
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  if (!path_.empty() && !keep_) fs::remove_all(path_, ignored);
}

std::string ReadText(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool WriteText(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  return static_cast<bool>(out.flush());
}

std::vector<std::string> LastLines(const fs::path& file, std::size_t count) {
  std::istringstream in(ReadText(file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  if (lines.size() > count)
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

}  // namespace tessera::sim
