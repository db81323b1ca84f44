#include "sim/scheduler/resources.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "common/json/json.h"
#include "sim/object.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

constexpr std::int64_t kMost = std::int64_t{1} << 53;

/// A whole number with one of Kubernetes' suffixes; 0 for everything else.
std::int64_t Amount(const Value& quantity) {
  if (quantity.IsInt64()) return std::clamp<std::int64_t>(quantity.GetInt64(), 0, kMost);
  if (!quantity.IsString()) return 0;
  static constexpr std::pair<std::string_view, std::int64_t> kSuffixes[] = {
      {"", 1},           {"k", 1000},       {"M", 1000000},    {"G", 1000000000},
      {"Ki", 1LL << 10}, {"Mi", 1LL << 20}, {"Gi", 1LL << 30}, {"Ti", 1LL << 40}};
  const std::string_view text = json::View(quantity);
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return 0;
  const std::string_view suffix(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  for (const auto& [name, factor] : kSuffixes) {
    if (suffix == name) return number > kMost / factor ? kMost : number * factor;
  }
  return 0;
}

void AddExtended(const Value* list, Resources& into) {
  if (list == nullptr || !list->IsObject()) return;
  for (const auto& member : list->GetObject()) {
    const std::string name(json::View(member.name));
    if (name.find('/') != std::string::npos) into[name] = Amount(member.value);
  }
}

Resources ContainerResources(const Value& container) {
  Resources out;
  AddExtended(json::FindPath(container, {"resources", "limits"}), out);
  AddExtended(json::FindPath(container, {"resources", "requests"}), out);
  return out;
}

void Add(Resources& sum, const Resources& more) {
  for (const auto& [name, amount] : more) sum[name] = std::min(kMost, sum[name] + amount);
}

void RaiseTo(Resources& peak, const Resources& other) {
  for (const auto& [name, amount] : other) peak[name] = std::max(peak[name], amount);
}

template <typename Visit>
void ForEach(const Value* list, Visit visit) {
  if (list == nullptr || !list->IsArray()) return;
  for (const Value& item : list->GetArray()) visit(item);
}

}  // namespace

Resources PodExtendedResources(const Value& pod) {
  Resources sidecars;
  Resources peak;
  ForEach(json::FindPath(pod, {"spec", "initContainers"}), [&](const Value& container) {
    Resources now = ContainerResources(container);
    if (TextAt(container, {"restartPolicy"}) == "Always") {
      Add(sidecars, now);
    } else {
      Add(now, sidecars);
      RaiseTo(peak, now);
    }
  });
  Resources together = sidecars;
  ForEach(json::FindPath(pod, {"spec", "containers"}),
          [&](const Value& container) { Add(together, ContainerResources(container)); });
  RaiseTo(peak, together);
  return peak;
}

Resources NodeExtendedResources(const Value& node) {
  Resources out;
  const Value* allocatable = json::FindPath(node, {"status", "allocatable"});
  AddExtended(json::FindPath(node, {"status", "capacity"}), out);
  AddExtended(allocatable, out);
  return out;
}

std::vector<std::string> InsufficientResources(const Resources& wanted, const Resources& used,
                                               const Resources& capacity) {
  const auto amount = [](const Resources& of, const std::string& name) {
    const auto found = of.find(name);
    return found == of.end() ? 0 : found->second;
  };
  std::vector<std::string> reasons;
  for (const auto& [name, more] : wanted) {
    if (more > 0 && more > amount(capacity, name) - amount(used, name)) {
      reasons.push_back("Insufficient " + name);
    }
  }
  return reasons;
}

}  // namespace tessera::sim
