#pragma once

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace tessera::agent::mps {

/// Asks until it is so, for at most ten seconds.
inline bool Eventually(const std::function<bool()>& is_so) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A folder for MPS, and what tests tell and ask the simulated daemons in it
/// (tests/fakes/nvidia-cuda-mps-control). Daemons that are left are ended with it.
class MpsFolder {
 public:
  static constexpr const char* kProgram = TESSERA_SOURCE_DIR "/tests/fakes/nvidia-cuda-mps-control";

  MpsFolder() : path_(::testing::TempDir() + "/mps.XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~MpsFolder() {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(root(), none))
      Kill(entry.path().filename().string());
    std::filesystem::remove_all(path_);
  }
  MpsFolder(const MpsFolder&) = delete;
  MpsFolder& operator=(const MpsFolder&) = delete;

  std::string root() const { return path_ + "/root"; }
  void Tell(const std::string& uuid, const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(root() + "/" + uuid + "/log");
    std::ofstream(root() + "/" + uuid + "/log/" + name) << text;
  }
  void Untell(const std::string& uuid, const std::string& name) const {
    std::filesystem::remove(root() + "/" + uuid + "/log/" + name);
  }
  std::string Journal(const std::string& uuid) const {
    return ReadAll(root() + "/" + uuid + "/log/journal");
  }
  /// How often the daemon was told this.
  int Told(const std::string& uuid, const std::string& what) const {
    std::ifstream journal(root() + "/" + uuid + "/log/journal");
    int count = 0;
    for (std::string line; std::getline(journal, line);) count += line.starts_with(what) ? 1 : 0;
    return count;
  }
  /// 0: none runs.
  pid_t Daemon(const std::string& uuid) const {
    std::ifstream file(root() + "/" + uuid + "/pipe/nvidia-cuda-mps-control.pid");
    pid_t pid = 0;
    file >> pid;
    return pid > 0 && kill(pid, 0) == 0 ? pid : 0;
  }
  void Kill(const std::string& uuid) const {
    if (const pid_t pid = Daemon(uuid); pid > 0) kill(pid, SIGKILL);
  }
  /// What a container finds where the webhook mounts the daemon's folder.
  bool ContainerMayStart(const std::string& uuid) const {
    return std::filesystem::exists(root() + "/ready/" + uuid + "/pipe");
  }
  bool IsClosed(const std::string& uuid) const {
    return std::filesystem::is_regular_file(
        std::filesystem::symlink_status(root() + "/ready/" + uuid));
  }

 private:
  std::string path_;
};

}  // namespace tessera::agent::mps
