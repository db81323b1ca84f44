#include "sim/demo/console.h"

#include <algorithm>
#include <cstdio>

namespace tessera::sim {
namespace {

/// Letters, not bytes: continuation bytes of UTF-8 take no column.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

void Console::Step(const std::string& text) const {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
  std::printf("[%4.1f s] %s\n", passed.count(), text.c_str());
  std::fflush(stdout);
}

void Console::Line(const std::string& text) const {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line = " ";
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      line += " " + rows[r][i] + std::string(widths[i] - Width(rows[r][i]) + 1, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
    if (r != 0) continue;
    out += " ";
    for (const std::size_t width : widths) out += " " + std::string(width, '-') + " ";
    out.erase(out.find_last_not_of(' ') + 1);
    out += "\n";
  }
  return out;
}

void CheckList::Add(const std::string& what, bool ok, const std::string& detail) {
  checks_.push_back({what, ok, detail});
  if (!ok) ++failed_;
}

std::string CheckList::Text() const {
  std::string out;
  for (const Check& check : checks_) {
    out += check.ok ? "  ok      " : "  FAILED  ";
    out += check.what;
    if (!check.detail.empty()) out += ": " + check.detail;
    out += "\n";
  }
  return out;
}

std::string BytesText(std::uint64_t bytes) {
  constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
  return bytes % kMib == 0 ? std::to_string(bytes / kMib) + " MiB" : std::to_string(bytes) + " B";
}

}  // namespace tessera::sim
