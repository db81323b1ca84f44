#include "common/contract/vocabulary.h"

#include <array>
#include <utility>

namespace tessera::contract {
namespace {

using binpack::ComputePolicy;
using binpack::ContainerKind;
using binpack::Isolation;

template <typename T, std::size_t N>
using Words = std::array<std::pair<T, std::string_view>, N>;

constexpr Words<ComputePolicy, 3> kComputePolicies = {
    {{ComputePolicy::kFixedShare, "fixed-share"},
     {ComputePolicy::kBurstShare, "burst-share"},
     {ComputePolicy::kBestEffort, "best-effort"}}};
constexpr Words<Isolation, 3> kIsolations = {{{Isolation::kShared, "shared"},
                                              {Isolation::kExclusive, "exclusive"},
                                              {Isolation::kMps, "mps"}}};
constexpr Words<ContainerKind, 3> kKinds = {{{ContainerKind::kApp, "app"},
                                             {ContainerKind::kInit, "init"},
                                             {ContainerKind::kSidecar, "sidecar"}}};

template <typename T, std::size_t N>
std::string_view NameOf(const Words<T, N>& words, T value) {
  for (const auto& [known, name] : words) {
    if (known == value) return name;
  }
  return "";
}

template <typename T, std::size_t N>
std::optional<T> ValueOf(const Words<T, N>& words, std::string_view name) {
  for (const auto& [value, known] : words) {
    if (known == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view ComputePolicyName(ComputePolicy policy) {
  return NameOf(kComputePolicies, policy);
}
std::optional<ComputePolicy> ParseComputePolicy(std::string_view name) {
  return ValueOf(kComputePolicies, name);
}
std::string_view IsolationName(Isolation isolation) { return NameOf(kIsolations, isolation); }
std::optional<Isolation> ParseIsolation(std::string_view name) {
  return ValueOf(kIsolations, name);
}
std::string_view ContainerKindName(ContainerKind kind) { return NameOf(kKinds, kind); }
std::optional<ContainerKind> ParseContainerKind(std::string_view name) {
  return ValueOf(kKinds, name);
}

}  // namespace tessera::contract
