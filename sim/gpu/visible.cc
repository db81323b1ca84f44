#include "sim/gpu/visible.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace tessera::sim::gpu {
namespace {

std::string_view Trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> Split(std::string_view list) {
  std::vector<std::string_view> entries;
  while (true) {
    const auto comma = list.find(',');
    entries.push_back(Trim(list.substr(0, comma)));
    if (comma == list.npos) return entries;
    list.remove_prefix(comma + 1);
  }
}

std::optional<std::size_t> ByIndex(const std::vector<GpuConfig>& devices, std::string_view entry) {
  std::size_t index = 0;
  const char* end = entry.data() + entry.size();
  const auto [stop, error] = std::from_chars(entry.data(), end, index);
  if (error != std::errc() || stop != end || index >= devices.size()) return std::nullopt;
  return index;
}

/// "0", "+0" and "0x" are all the first device.
std::optional<std::size_t> ByLeadingDigits(const std::vector<GpuConfig>& devices,
                                           std::string_view entry) {
  if (entry.starts_with('+')) entry.remove_prefix(1);
  return ByIndex(devices, entry.substr(0, entry.find_first_not_of("0123456789")));
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

/// A prefix counts if exactly one device starts with it; the "GPU-" must be there.
std::optional<std::size_t> ByUuid(const std::vector<GpuConfig>& devices, std::string_view entry) {
  if (!entry.starts_with("GPU-") || entry.size() == 4) return std::nullopt;
  const std::string digits = Lower(entry.substr(4));
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (!std::string_view(devices[i].uuid).substr(4).starts_with(digits)) continue;
    if (found) return std::nullopt;
    found = i;
  }
  return found;
}

std::optional<std::size_t> Find(const std::vector<GpuConfig>& devices, std::string_view entry) {
  if (const auto index = ByIndex(devices, entry)) return index;
  return ByUuid(devices, entry);
}

}  // namespace

std::vector<GpuConfig> ContainerDevices(const std::vector<GpuConfig>& machine,
                                        std::optional<std::string_view> list) {
  if (!list || Trim(*list) == "all") return machine;
  std::vector<bool> named(machine.size());
  for (const std::string_view entry : Split(*list)) {
    if (const auto index = Find(machine, entry)) named[*index] = true;
  }
  std::vector<GpuConfig> devices;
  for (std::size_t i = 0; i < machine.size(); ++i) {
    if (named[i]) devices.push_back(machine[i]);
  }
  return devices;
}

CudaSelection CudaDevices(const std::vector<GpuConfig>& devices,
                          std::optional<std::string_view> list) {
  if (!list) return {devices};
  const std::vector<std::string_view> entries = Split(*list);
  const bool by_uuid = entries.front().starts_with("GPU-");
  std::vector<std::size_t> order;
  for (const std::string_view entry : entries) {
    const auto index = by_uuid ? ByUuid(devices, entry) : ByLeadingDigits(devices, entry);
    if (!index) break;
    if (std::find(order.begin(), order.end(), *index) != order.end()) return {{}, true};
    order.push_back(*index);
  }
  CudaSelection selection;
  for (const std::size_t index : order) selection.devices.push_back(devices[index]);
  return selection;
}

}  // namespace tessera::sim::gpu
