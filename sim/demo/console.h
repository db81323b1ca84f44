#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tessera::sim {

/// What the demo says while it runs, on stdout. One thread only.
class Console {
 public:
  Console() : start_(std::chrono::steady_clock::now()) {}
  /// "[ 1.2 s] text"
  void Step(const std::string& text) const;
  void Line(const std::string& text) const;

 private:
  const std::chrono::steady_clock::time_point start_;
};

/// Columns as wide as their widest cell, the first row underlined. Rows may be short. Cells are
/// UTF-8. Pure.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

/// What held and what did not. A demo without any check has failed.
class CheckList {
 public:
  void Add(const std::string& what, bool ok, const std::string& detail = "");
  bool all_ok() const { return !checks_.empty() && failed_ == 0; }
  /// "  ok      what" and "  FAILED  what: detail" lines.
  std::string Text() const;

 private:
  struct Check {
    std::string what;
    bool ok;
    std::string detail;
  };
  std::vector<Check> checks_;
  int failed_ = 0;
};

/// "3000 MiB"; bytes that are no whole MiB: "1234567 B".
std::string BytesText(std::uint64_t bytes);

}  // namespace tessera::sim
