#include "sim/gpu/config.h"

#include <charconv>
#include <cstdio>

namespace tessera::sim::gpu {
namespace {

struct Pair {
  std::string key;
  std::string value;
};

tl::unexpected<Error> Bad(std::string message) {
  return Fail(Errc::kInvalidArgument, std::move(message));
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/// Splits `word key=value key="quoted value"` after the first word; '#' starts a comment.
Result<std::vector<Pair>> ParsePairs(std::string_view rest) {
  std::vector<Pair> pairs;
  std::size_t at = 0;
  while (true) {
    while (at < rest.size() && IsSpace(rest[at])) ++at;
    if (at == rest.size() || rest[at] == '#') return pairs;
    const std::size_t equals = rest.find_first_of("= \t", at);
    const std::string key(rest.substr(at, equals == rest.npos ? rest.npos : equals - at));
    if (equals == rest.npos || rest[equals] != '=') return Bad(key + ": a key needs =value");
    at = equals + 1;
    std::size_t end = at;
    if (at < rest.size() && rest[at] == '"') {
      end = rest.find('"', ++at);
      if (end == rest.npos) return Bad(key + ": the closing quote is missing");
      pairs.push_back({key, std::string(rest.substr(at, end - at))});
      at = end + 1;
      continue;
    }
    while (end < rest.size() && !IsSpace(rest[end])) ++end;
    pairs.push_back({key, std::string(rest.substr(at, end - at))});
    at = end;
  }
}

template <typename Number>
Result<Number> ReadNumber(const Pair& pair, Number low, Number high) {
  Number value{};
  const char* end = pair.value.data() + pair.value.size();
  const auto [stop, error] = std::from_chars(pair.value.data(), end, value);
  if (error != std::errc() || stop != end || !(value >= low) || value > high) {
    return Bad(pair.key + " must be a number from " + std::to_string(low) + " to " +
               std::to_string(high) + ", not '" + pair.value + "'");
  }
  return value;
}

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool IsUuid(std::string_view text) {
  constexpr std::string_view kShape = "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() != kShape.size()) return false;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'x' ? !IsHexDigit(text[i]) : text[i] != kShape[i]) return false;
  }
  return true;
}

Result<Health> ReadHealth(const Pair& pair) {
  if (pair.value == "1") return Health::kHealthy;
  if (pair.value == "0") return Health::kSick;
  if (pair.value == "lost") return Health::kLost;
  return Bad("healthy must be 1, 0 or lost, not '" + pair.value + "'");
}

Result<int> ReadCapability(const Pair& pair, GpuConfig& gpu) {
  const std::size_t dot = pair.value.find('.');
  if (dot == std::string::npos) return Bad("cc must be like 9.0, not '" + pair.value + "'");
  TESSERA_TRY(gpu.cc_major, ReadNumber<int>({"cc", pair.value.substr(0, dot)}, 1, 99));
  TESSERA_TRY(gpu.cc_minor, ReadNumber<int>({"cc", pair.value.substr(dot + 1)}, 0, 9));
  return 0;
}

constexpr std::uint64_t kMaxMemoryMib = 1U << 20;  // 1 TiB

Result<int> SetGpuKey(const Pair& pair, GpuConfig& gpu) {
  if (pair.key == "uuid") {
    if (!IsUuid(pair.value)) {
      return Bad("uuid must be GPU- and 8-4-4-4-12 lower-case hexadecimal digits, not '" +
                 pair.value + "'");
    }
    gpu.uuid = pair.value;
  } else if (pair.key == "model") {
    if (pair.value.empty() || pair.value.size() > 90) return Bad("model must have 1 to 90 bytes");
    gpu.model = pair.value;
  } else if (pair.key == "memory_mib") {
    TESSERA_TRY(gpu.memory_mib, ReadNumber<std::uint64_t>(pair, 1, kMaxMemoryMib));
  } else if (pair.key == "context_mib") {
    TESSERA_TRY(gpu.context_mib, ReadNumber<std::uint64_t>(pair, 0, kMaxMemoryMib));
  } else if (pair.key == "green_mib") {
    TESSERA_TRY(gpu.green_mib, ReadNumber<std::uint64_t>(pair, 0, kMaxMemoryMib));
  } else if (pair.key == "green_left_mib") {
    TESSERA_TRY(gpu.green_left_mib, ReadNumber<std::uint64_t>(pair, 0, kMaxMemoryMib));
  } else if (pair.key == "green_reuse") {
    TESSERA_TRY(const int reuse, ReadNumber<int>(pair, 0, 1));
    gpu.green_reuse = reuse == 1;
  } else if (pair.key == "sms") {
    TESSERA_TRY(gpu.sms, ReadNumber<int>(pair, 1, 1024));
  } else if (pair.key == "numa") {
    TESSERA_TRY(gpu.numa, ReadNumber<int>(pair, -1, 1023));
  } else if (pair.key == "faults") {
    TESSERA_TRY(const int faults, ReadNumber<int>(pair, 0, 1));
    gpu.faults = faults == 1;
  } else if (pair.key == "xid") {
    TESSERA_TRY(gpu.xid, ReadNumber<int>(pair, 1, 999));
  } else if (pair.key == "loss") {
    TESSERA_TRY(gpu.loss, ReadNumber<double>(pair, 0.0, 0.9));
  } else if (pair.key == "healthy") {
    TESSERA_TRY(gpu.health, ReadHealth(pair));
  } else if (pair.key == "cc") {
    return ReadCapability(pair, gpu);
  } else {
    return Bad(pair.key + ": a gpu line has no such key");
  }
  return 0;
}

Result<int> SetDriverKey(const Pair& pair, MachineConfig& machine) {
  if (pair.key == "version") {
    if (pair.value.empty() || pair.value.size() > 79) return Bad("version must have 1 to 79 bytes");
    machine.driver_version = pair.value;
  } else if (pair.key == "cuda") {
    TESSERA_TRY(machine.cuda_version, ReadNumber<int>(pair, 2000, 99990));
  } else {
    return Bad(pair.key + ": a driver line has no such key");
  }
  return 0;
}

Result<int> AddGpu(const std::vector<Pair>& pairs, MachineConfig& machine) {
  GpuConfig gpu;
  gpu.index = static_cast<int>(machine.gpus.size());
  for (const Pair& pair : pairs) {
    const auto set = SetGpuKey(pair, gpu);
    if (!set) return tl::unexpected(set.error());
  }
  if (gpu.uuid.empty()) return Bad("uuid is missing");
  if (gpu.memory_mib == 0) return Bad("memory_mib is missing");
  if (gpu.index >= 254) return Bad("more than 254 GPUs");
  for (const GpuConfig& other : machine.gpus) {
    if (other.uuid == gpu.uuid) return Bad("uuid " + gpu.uuid + " stands in two lines");
  }
  machine.gpus.push_back(std::move(gpu));
  return 0;
}

Result<int> ParseLine(std::string_view line, MachineConfig& machine) {
  std::size_t at = 0;
  while (at < line.size() && IsSpace(line[at])) ++at;
  line.remove_prefix(at);
  if (line.empty() || line[0] == '#') return 0;
  const std::size_t end = line.find_first_of(" \t\r#");
  const std::string_view word = line.substr(0, end);
  TESSERA_TRY(const auto pairs,
              ParsePairs(end == line.npos ? std::string_view() : line.substr(end)));
  if (word == "gpu") return AddGpu(pairs, machine);
  if (word != "driver") return Bad("'" + std::string(word) + "': a line starts with gpu or driver");
  for (const Pair& pair : pairs) {
    const auto set = SetDriverKey(pair, machine);
    if (!set) return tl::unexpected(set.error());
  }
  return 0;
}

int HexValue(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

}  // namespace

std::array<std::uint8_t, 16> GpuConfig::uuid_bytes() const {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t digits = 0;
  for (std::size_t i = 4; i < uuid.size() && digits < 32; ++i) {
    if (uuid[i] == '-') continue;
    auto& byte = bytes[digits / 2];
    byte = static_cast<std::uint8_t>((byte << 4) | HexValue(uuid[i]));
    ++digits;
  }
  return bytes;
}

std::string GpuConfig::pci_bus_id() const {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "00000000:%02X:00.0", index + 1);
  return text.data();
}

Result<MachineConfig> ParseMachine(std::string_view text) {
  MachineConfig machine;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const auto parsed = ParseLine(text.substr(0, end), machine);
    if (!parsed) return Wrap(parsed.error(), "line " + std::to_string(number));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return machine;
}

MachineConfig DefaultMachine() {
  MachineConfig machine;
  GpuConfig gpu;
  gpu.uuid = "GPU-7e55e7a0-0000-4000-8000-000000000000";
  gpu.memory_mib = 24576;
  machine.gpus.push_back(gpu);
  return machine;
}

}  // namespace tessera::sim::gpu
