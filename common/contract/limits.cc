#include "common/contract/limits.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string>

#include "common/contract/vocabulary.h"

namespace tessera::contract {
namespace {

constexpr std::size_t kMostDevices = 16;
constexpr std::size_t kMostUuidCharacters = 47;
constexpr std::int64_t kMostMemoryMib = std::int64_t{1} << 30;

Error Bad(const std::string& what) { return {Errc::kInvalidArgument, "limits " + what}; }

/// The text between single `separator`s; "a  b" has an empty one in the middle.
std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// Digits only, no leading zero but "0" itself.
std::optional<std::int64_t> Number(std::string_view text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const bool plain = !text.empty() && text.find_first_not_of("0123456789") == text.npos &&
                     (text.size() == 1 || text.front() != '0');
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!plain || error != std::errc() || value < low || value > high) return std::nullopt;
  return value;
}

bool IsUuid(std::string_view text) {
  return !text.empty() && text.size() <= kMostUuidCharacters &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c < 128 && std::isalnum(c) != 0) || c == '-' || c == '/';
         });
}

bool SameUuid(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

Result<binpack::DeviceShare> DecodeDevice(std::string_view text) {
  const auto parts = Split(text, ':');
  if (parts.size() < 3 || parts.size() > 4 || !IsUuid(parts[0])) {
    return tl::unexpected(Bad("device \"" + std::string(text) + "\" is malformed"));
  }
  const auto memory = Number(parts[1], 1, kMostMemoryMib);
  const auto cores = Number(parts[2], 0, 100);
  const auto host = parts.size() == 4 ? Number(parts[3], 1, binpack::kMaxHostMemoryMib) : 0;
  if (!memory || !cores || !host) {
    return tl::unexpected(Bad("device \"" + std::string(text) + "\" has no such memory or cores"));
  }
  binpack::DeviceShare share;
  share.uuid = parts[0];
  share.memory_mib = *memory;
  share.cores_percent = *cores;
  share.host_memory_mib = *host;
  return share;
}

}  // namespace

Result<Limits> DecodeLimits(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  const auto words = Split(text, ' ');
  if (words[0] != "v1") return tl::unexpected(Bad("are of an unknown version"));
  const auto policy = ParseComputePolicy(words.size() > 1 ? words[1] : "");
  if (!policy) return tl::unexpected(Bad("name an unknown policy"));
  if (words.size() < 3 || words.size() > 2 + kMostDevices) {
    return tl::unexpected(Bad("must name 1 to " + std::to_string(kMostDevices) + " devices"));
  }
  Limits limits{.policy = *policy};
  for (std::size_t i = 2; i < words.size(); ++i) {
    TESSERA_TRY(auto share, DecodeDevice(words[i]));
    for (const auto& other : limits.devices) {
      if (SameUuid(other.uuid, share.uuid)) {
        return tl::unexpected(Bad("name device \"" + share.uuid + "\" twice"));
      }
    }
    limits.devices.push_back(std::move(share));
  }
  return limits;
}

}  // namespace tessera::contract
