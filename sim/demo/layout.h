#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace tessera::sim {

/// Where our programs and libraries are, found from where this program is: <build>/bin beside
/// <build>/lib.
struct Layout {
  std::filesystem::path bin_dir;
  std::filesystem::path lib_dir;

  std::filesystem::path Program(const std::string& name) const { return bin_dir / name; }
  std::filesystem::path interceptor() const { return lib_dir / "libtessera.so"; }
  std::filesystem::path driver_dir() const { return lib_dir / "sim"; }
  std::filesystem::path nvml() const { return driver_dir() / "libnvidia-ml.so.1"; }
};

/// From /proc/self/exe. Errors: kNotFound names everything that has not been built.
Result<Layout> FindLayout();

/// manifests/examples of the source tree around a build folder, or of an installation. Empty: not
/// found.
std::filesystem::path FindExamples(const Layout& layout);

/// A folder below the temporary folder that goes away with the object, unless Keep was called.
class WorkFolder {
 public:
  static Result<WorkFolder> Create();
  WorkFolder(WorkFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~WorkFolder();
  void Keep() { keep_ = true; }
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit WorkFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
  bool keep_ = false;
};

/// Whole text; empty if it cannot be read.
std::string ReadText(const std::filesystem::path& file);
bool WriteText(const std::filesystem::path& file, const std::string& text);
/// The last `count` lines of a file.
std::vector<std::string> LastLines(const std::filesystem::path& file, std::size_t count);

}  // namespace tessera::sim
