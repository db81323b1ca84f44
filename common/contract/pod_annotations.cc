#include "common/contract/pod_annotations.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "common/contract/names.h"
#include "common/contract/quantity.h"
#include "common/contract/vocabulary.h"
#include "common/json/json.h"

namespace tessera::contract {
namespace {

using binpack::Isolation;
using binpack::ModelPattern;
using binpack::PlacementPolicy;
using binpack::Topology;

constexpr std::string_view kHamiUseModel = "nvidia.com/use-gputype";
constexpr std::string_view kHamiNoModel = "nvidia.com/nouse-gputype";
constexpr std::string_view kHamiUseUuid = "nvidia.com/use-gpuuuid";
constexpr std::string_view kHamiNoUuid = "nvidia.com/nouse-gpuuuid";
constexpr std::string_view kHamiNuma = "nvidia.com/numa-bind";
constexpr std::string_view kHamiMode = "nvidia.com/vgpu-mode";
constexpr std::string_view kHamiNodePolicy = "hami.io/node-scheduler-policy";
constexpr std::string_view kHamiGpuPolicy = "hami.io/gpu-scheduler-policy";

constexpr std::array<std::string_view, 13> kUserNames = {
    names::kGpuCount,     names::kGpuMemory, names::kGpuCores,      names::kContainer,
    names::kGpuModel,     names::kGpuUuid,   names::kComputePolicy, names::kNodePolicy,
    names::kGpuPolicy,    names::kTopology,  names::kIsolation,     names::kGpuMemoryOversubscribe,
    names::kGpuHostMemory};

std::string Named(std::string_view name) { return "annotation " + std::string(name); }

tl::unexpected<Error> Refuse(std::string_view name, const std::string& why) {
  return Fail(Errc::kInvalidArgument, Named(name) + ": " + why);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto comma = text.find(',');
    parts.push_back(Trim(text.substr(0, comma)));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

/// Edits (insert, remove, replace) that turn a into b.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replace}));
    }
  }
  return row[b.size()];
}

bool LooksLikeASlip(std::string_view name) {
  constexpr std::size_t kLongest = 64;
  if (!name.starts_with(names::kPrefix) || name.size() > kLongest) return false;
  if (std::find(kUserNames.begin(), kUserNames.end(), name) != kUserNames.end()) return false;
  return name.substr(names::kPrefix.size()).starts_with("gpu") ||
         std::any_of(kUserNames.begin(), kUserNames.end(),
                     [&](std::string_view known) { return Distance(name, known) <= 2; });
}

/// One word of an annotation's vocabulary. `missing`: a word that is known, but that this version
/// cannot do.
template <typename T>
struct Word {
  std::string_view text;
  T value{};
  bool missing = false;
};

template <typename T>
struct Vocabulary {
  std::string_view annotation;
  std::span<const Word<T>> words;
};

template <typename T>
std::string WordList(const Vocabulary<T>& vocabulary) {
  std::string list;
  for (const auto& word : vocabulary.words) {
    if (word.missing) continue;
    list += (list.empty() ? "" : ", ") + std::string(word.text);
  }
  return list;
}

template <typename T>
Result<std::optional<T>> ReadWord(const PodAnnotations& annotations,
                                  const Vocabulary<T>& vocabulary) {
  const auto text = annotations.Get(vocabulary.annotation);
  if (!text) return std::nullopt;
  for (const auto& word : vocabulary.words) {
    if (word.text != *text) continue;
    if (!word.missing) return word.value;
    return Refuse(vocabulary.annotation,
                  "\"" + *text + "\" is not available yet in this version; use one of " +
                      WordList(vocabulary));
  }
  return Refuse(vocabulary.annotation, "\"" + *text + "\" is not one of " + WordList(vocabulary));
}

/// The value that several annotations state, in their own words; they must agree.
template <typename T>
Result<void> ReadChoice(const PodAnnotations& annotations,
                        std::initializer_list<Vocabulary<T>> dialects, T& into) {
  std::string_view first;
  for (const auto& vocabulary : dialects) {
    TESSERA_TRY(const auto value, ReadWord(annotations, vocabulary));
    if (!value) continue;
    if (!first.empty() && *value != into) {
      return Fail(Errc::kInvalidArgument,
                  Named(first) + " and " + Named(vocabulary.annotation) + " say different things");
    }
    into = *value;
    first = vocabulary.annotation;
  }
  return {};
}

constexpr Word<PlacementPolicy> kPolicies[] = {{"pack", PlacementPolicy::kPack},
                                               {"spread", PlacementPolicy::kSpread}};
constexpr Word<PlacementPolicy> kHamiNodePolicies[] = {{"binpack", PlacementPolicy::kPack},
                                                       {"spread", PlacementPolicy::kSpread}};
constexpr Word<PlacementPolicy> kHamiGpuPolicies[] = {{"binpack", PlacementPolicy::kPack},
                                                      {"spread", PlacementPolicy::kSpread},
                                                      {"topology-aware", {}, true},
                                                      {"mutex", {}, true},
                                                      {"numa", {}, true}};
constexpr Word<Topology> kTopologies[] = {
    {"none", Topology::kNone}, {"numa", Topology::kNuma}, {"link", {}, true}};
constexpr Word<Topology> kHamiNumaWords[] = {{"true", Topology::kNuma}, {"false", Topology::kNone}};
constexpr Word<Isolation> kIsolations[] = {{"shared", Isolation::kShared},
                                           {"exclusive", Isolation::kExclusive},
                                           {"mps", Isolation::kMps},
                                           {"mig", {}, true}};
constexpr Word<bool> kSwitch[] = {{"true", true}, {"false", false}};
constexpr Word<Isolation> kHamiModes[] = {
    {"hami-core", Isolation::kShared}, {"mps", Isolation::kMps}, {"mig", {}, true}};

/// Two annotations that fill the same lists cannot both be meant.
Result<void> NotBoth(const PodAnnotations& annotations, std::string_view ours,
                     std::string_view theirs) {
  if (!annotations.Get(ours) || !annotations.Get(theirs)) return {};
  return Fail(Errc::kInvalidArgument,
              Named(ours) + " and " + Named(theirs) + " are both set; keep one");
}

/// Entries of a pod's lists: each is held against each GPU of the cluster.
constexpr std::size_t kMaxModels = 64;
constexpr std::size_t kMaxUuids = 256;

Result<void> CheckLists(const binpack::DeviceSelector& selector) {
  const auto refuse = [](std::string_view what, std::size_t count, std::size_t most) {
    return Fail(Errc::kInvalidArgument, "the annotations list " + std::to_string(count) + " GPU " +
                                            std::string(what) + "; at most " +
                                            std::to_string(most) + " are allowed");
  };
  const std::size_t models = selector.models_any.size() + selector.models_none.size();
  const std::size_t uuids = selector.uuids_any.size() + selector.uuids_none.size();
  if (models > kMaxModels) return refuse("models", models, kMaxModels);
  if (uuids > kMaxUuids) return refuse("uuids", uuids, kMaxUuids);
  return {};
}

/// "A,!B" in our words: fills `any` and `none`.
template <typename Push>
Result<void> ReadList(const PodAnnotations& annotations, std::string_view name, Push push) {
  const auto text = annotations.Get(name);
  if (!text) return {};
  for (std::string_view entry : Split(*text)) {
    const bool exclude = entry.starts_with('!');
    if (exclude) entry = Trim(entry.substr(1));
    if (entry.empty()) return Refuse(name, "\"" + *text + "\" has an empty entry");
    push(entry, exclude);
  }
  return {};
}

}  // namespace

PodAnnotations::PodAnnotations(const rapidjson::Value& pod)
    : annotations_(json::FindPath(pod, {"metadata", "annotations"})) {}

Result<void> PodAnnotations::RefuseSlips() const {
  if (annotations_ == nullptr) return {};
  if (!annotations_->IsObject())
    return Fail(Errc::kInvalidArgument, "metadata.annotations must be an object");
  for (const auto& member : annotations_->GetObject()) {
    const auto name = json::View(member.name);
    if (!member.value.IsString() && !member.value.IsNull()) return Refuse(name, "must be a string");
    if (!LooksLikeASlip(name)) continue;
    std::string known;
    for (const auto user : kUserNames)
      known += " " + std::string(user.substr(names::kPrefix.size()));
    return Refuse(name, "not known; the annotations under tessera.dev/ are" + known);
  }
  return {};
}

std::optional<std::string> PodAnnotations::Get(std::string_view name) const {
  const auto* value = annotations_ == nullptr ? nullptr : json::Find(*annotations_, name);
  if (value == nullptr || !value->IsString()) return std::nullopt;
  return std::string(Trim(json::View(*value)));
}

Result<GpuStatement> PodAnnotations::ReadGpu() const {
  GpuStatement statement;
  Result<void> ok;
  const auto read = [&](std::string_view name, auto parse, auto state) {
    const auto text = Get(name);
    if (!ok || !text) return;
    const auto value = parse(std::string_view(*text));
    ok = value ? state(statement, *value, Named(name))
               : Result<void>(Refuse(name, value.error().message));
  };
  const auto percent = [](std::string_view text) {
    return ParseWhole(text.substr(0, text.size() - 1));
  };
  read(names::kGpuCount, ParseWhole, StateCount);
  const auto memory = Get(names::kGpuMemory);
  if (memory && memory->ends_with('%')) {
    read(names::kGpuMemory, percent, StateMemoryPercent);
  } else {
    read(names::kGpuMemory, ParseBytesAsMib, StateMemoryMib);
  }
  const auto cores = Get(names::kGpuCores);
  if (cores && cores->ends_with('%')) {
    read(names::kGpuCores, percent, StateCores);
  } else {
    read(names::kGpuCores, ParseWhole, StateCores);
  }
  if (!ok) return tl::make_unexpected(ok.error());
  return statement;
}

Result<binpack::DeviceSelector> PodAnnotations::ReadSelector() const {
  binpack::DeviceSelector selector;
  Result<void> ok = NotBoth(*this, names::kGpuModel, kHamiUseModel);
  if (ok) ok = NotBoth(*this, names::kGpuModel, kHamiNoModel);
  if (ok) ok = NotBoth(*this, names::kGpuUuid, kHamiUseUuid);
  if (ok) ok = NotBoth(*this, names::kGpuUuid, kHamiNoUuid);
  if (ok) {
    ok = ReadList(*this, names::kGpuModel, [&](std::string_view entry, bool exclude) {
      (exclude ? selector.models_none : selector.models_any).push_back({std::string(entry), true});
    });
  }
  if (ok) {
    ok = ReadList(*this, names::kGpuUuid, [&](std::string_view entry, bool exclude) {
      (exclude ? selector.uuids_none : selector.uuids_any).emplace_back(entry);
    });
  }
  if (!ok) return tl::make_unexpected(ok.error());
  const auto each = [&](std::string_view name, auto push) {
    const std::string text = Get(name).value_or("");
    for (const auto entry : Split(text)) {
      if (!entry.empty()) push(entry);
    }
  };
  each(kHamiUseModel, [&](auto e) { selector.models_any.push_back({std::string(e), false}); });
  each(kHamiNoModel, [&](auto e) { selector.models_none.push_back({std::string(e), false}); });
  each(kHamiUseUuid, [&](auto e) { selector.uuids_any.emplace_back(e); });
  each(kHamiNoUuid, [&](auto e) { selector.uuids_none.emplace_back(e); });
  if (ok = CheckLists(selector); !ok) return tl::make_unexpected(ok.error());
  return selector;
}

Result<std::optional<binpack::ComputePolicy>> PodAnnotations::ReadComputePolicy() const {
  const auto text = Get(names::kComputePolicy);
  if (!text) return std::nullopt;
  const auto policy = ParseComputePolicy(*text);
  if (policy) return policy;
  return Refuse(names::kComputePolicy,
                "\"" + *text + "\" is not one of fixed-share, burst-share, best-effort");
}

Result<void> PodAnnotations::ReadPolicies(binpack::PodRequest& request) const {
  using Policy = Vocabulary<PlacementPolicy>;
  Result<void> ok = ReadChoice<PlacementPolicy>(
      *this, {Policy{names::kNodePolicy, kPolicies}, Policy{kHamiNodePolicy, kHamiNodePolicies}},
      request.node_policy);
  if (ok) {
    ok = ReadChoice<PlacementPolicy>(
        *this, {Policy{names::kGpuPolicy, kPolicies}, Policy{kHamiGpuPolicy, kHamiGpuPolicies}},
        request.gpu_policy);
  }
  if (ok) {
    ok = ReadChoice<Topology>(*this, {{names::kTopology, kTopologies}, {kHamiNuma, kHamiNumaWords}},
                              request.topology);
  }
  if (ok) {
    ok = ReadChoice<Isolation>(*this, {{names::kIsolation, kIsolations}, {kHamiMode, kHamiModes}},
                               request.isolation);
  }
  return ok;
}

Result<void> PodAnnotations::ReadOversubscription(binpack::PodRequest& request) const {
  constexpr std::string_view kName = names::kGpuMemoryOversubscribe;
  TESSERA_TRY(const auto stated, ReadWord(*this, Vocabulary<bool>{kName, kSwitch}));
  request.oversubscribe = stated.value_or(false);
  if (request.oversubscribe && request.isolation != Isolation::kShared) {
    return Refuse(kName, "only containers with isolation shared can get host memory");
  }
  const auto cap = Get(names::kGpuHostMemory);
  if (!cap) return {};
  if (!request.oversubscribe) {
    return Refuse(names::kGpuHostMemory, "means nothing without " + std::string(kName) + ": \"true\"");
  }
  const auto mib = ParseBytesAsMib(*cap);
  if (!mib) return Refuse(names::kGpuHostMemory, mib.error().message);
  if (*mib > binpack::kMaxHostMemoryMib) {
    return Refuse(names::kGpuHostMemory, "\"" + *cap + "\" is more than 1Pi");
  }
  request.host_memory_mib = *mib;
  return {};
}

}  // namespace tessera::contract
