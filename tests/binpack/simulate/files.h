#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

/// The text of a file, or nothing if it is not there.
inline std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A path below the shared data that lie beside the checkout (or beside its parent, for a
/// worktree).
inline std::string SharedData(const std::string& path) {
  const std::string root = TESSERA_SOURCE_DIR;
  for (const char* up : {"/../shared/data/", "/../../shared/data/"}) {
    if (std::filesystem::exists(root + up + path)) return root + up + path;
  }
  return root + "/../shared/data/" + path;
}
