#include "interceptor/limits.h"

#include <cstring>
#include <span>

namespace tessera {
namespace {

constexpr std::uint64_t kMaxMemoryMib = std::uint64_t{1} << 30;
constexpr std::uint64_t kBytesPerMib = std::uint64_t{1} << 20;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// The text up to `end`, which is cut off with its delimiter. The whole rest if there is none.
std::string_view Cut(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

/// Digits only, no leading zero but "0" itself, at most `max`.
bool ParseNumber(std::string_view text, std::uint64_t max, std::uint64_t& value) {
  if (text.empty() || text.size() > 10 || (text.size() > 1 && text.front() == '0')) return false;
  value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value <= max;
}

bool ParsePolicy(std::string_view text, region::Policy& policy) {
  if (text == "fixed-share") {
    policy = region::Policy::kFixedShare;
  } else if (text == "burst-share") {
    policy = region::Policy::kBurstShare;
  } else if (text == "best-effort") {
    policy = region::Policy::kBestEffort;
  } else {
    return false;
  }
  return true;
}

bool IsUuidCharacter(char c) {
  const char lower = Lower(c);
  return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '/';
}

const char* ParseDevice(std::string_view text, region::DeviceConfig& device) {
  const std::string_view uuid = Cut(text, ':');
  if (uuid.empty() || uuid.size() >= region::kUuidSize) return "a device's uuid is malformed";
  for (const char c : uuid) {
    if (!IsUuidCharacter(c)) return "a device's uuid is malformed";
  }
  std::uint64_t memory_mib = 0;
  std::uint64_t cores = 0;
  if (!ParseNumber(Cut(text, ':'), kMaxMemoryMib, memory_mib) || memory_mib == 0) {
    return "a device's memory is not a number of MiB";
  }
  const bool has_host = text.find(':') != std::string_view::npos;
  if (!ParseNumber(Cut(text, ':'), 100, cores)) return "a device's cores are not a percentage";
  std::uint64_t host_mib = 0;
  if (has_host && (!ParseNumber(text, kMaxMemoryMib, host_mib) || host_mib == 0)) {
    return "a device's host memory is not a number of MiB";
  }
  device = {};
  memcpy(device.uuid, uuid.data(), uuid.size());
  device.limit_bytes = memory_mib * kBytesPerMib;
  device.cores_percent = static_cast<std::uint32_t>(cores);
  device.host_bytes = host_mib * kBytesPerMib;
  return nullptr;
}

int HexValue(char c) {
  const char lower = Lower(c);
  if (lower >= '0' && lower <= '9') return lower - '0';
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return -1;
}

}  // namespace

const char* ParseLimits(std::string_view text, Limits& limits) {
  limits = {};
  if (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (text.empty()) return "the limits are empty";
  if (Cut(text, ' ') != "v1") return "the limits are of an unknown version";
  if (!ParsePolicy(Cut(text, ' '), limits.policy)) return "the limits name an unknown policy";
  if (text.empty()) return "the limits name no device";
  const bool ends_with_space = text.back() == ' ';
  while (!text.empty()) {
    if (limits.count == region::kMaxDevices) return "the limits name too many devices";
    region::DeviceConfig& device = limits.devices[limits.count];
    if (const char* problem = ParseDevice(Cut(text, ' '), device)) return problem;
    for (const auto& other : std::span(limits.devices, limits.count)) {
      if (SameUuidText(other.uuid, device.uuid)) return "the limits name a device twice";
    }
    ++limits.count;
  }
  return ends_with_space ? "the limits end with a space" : nullptr;
}

bool SameDevices(const Limits& a, const Limits& b) {
  if (a.count != b.count) return false;
  for (std::size_t i = 0; i < a.count; ++i) {
    if (!SameUuidText(a.devices[i].uuid, b.devices[i].uuid)) return false;
  }
  return true;
}

bool UuidMatches(std::string_view text, const CUuuid& uuid) {
  if (!SameUuidText(text.substr(0, 4), "GPU-") && !SameUuidText(text.substr(0, 4), "MIG-")) {
    return false;
  }
  text.remove_prefix(4);
  int digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int value = HexValue(c);
    if (value < 0 || digits == 32) return false;
    const auto byte = static_cast<unsigned char>(uuid.bytes[digits / 2]);
    if (value != (digits % 2 == 0 ? byte >> 4 : byte & 15)) return false;
    ++digits;
  }
  return digits == 32;
}

bool SameUuidText(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

}  // namespace tessera
