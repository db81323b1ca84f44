#include "extender/reasons.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tessera::extender {
namespace {

using binpack::Insufficient;
using binpack::Shortage;

constexpr std::string_view kClosed = "closed";

constexpr std::array<std::pair<Shortage, std::string_view>, 13> kLabels = {
    {{Shortage::kGpus, "gpus"},
     {Shortage::kModel, "model"},
     {Shortage::kUuid, "uuid"},
     {Shortage::kHealth, "health"},
     {Shortage::kMps, "mps"},
     {Shortage::kUnshared, "unshared"},
     {Shortage::kMode, "mode"},
     {Shortage::kMemory, "memory"},
     {Shortage::kCores, "cores"},
     {Shortage::kMpsClients, "mps_clients"},
     {Shortage::kBothAtOnce, "both_at_once"},
     {Shortage::kNuma, "numa"},
     {Shortage::kTogether, "together"}}};

/// How far the node is from fitting.
std::int64_t Missing(const Insufficient& shortage) {
  return shortage.requested - (shortage.capacity - shortage.used);
}

std::string Amounts(const Insufficient& s, std::string_view unit, bool resolvable) {
  const std::int64_t there =
      resolvable ? std::max<std::int64_t>(0, s.capacity - s.used) : s.capacity;
  std::string text = std::to_string(s.requested) + std::string(unit) + " asked";
  if (s.gpus_requested > 1) text += " on each of " + std::to_string(s.gpus_requested) + " GPUs";
  return text + ", at most " + std::to_string(there) + std::string(unit) +
         (resolvable ? " free" : " on such a GPU");
}

std::string WordOf(const Insufficient& s, bool resolvable) {
  const std::string text = std::string(binpack::ReasonText(s.shortage)) + ": ";
  if (s.shortage == Shortage::kMemory) return text + Amounts(s, " MiB", resolvable);
  // In words: kube-scheduler's event takes reasons for a format, and "%" would eat what follows.
  if (s.shortage == Shortage::kCores) return text + Amounts(s, " percent", resolvable);
  if (s.shortage == Shortage::kMpsClients) return text + Amounts(s, "", resolvable);
  return text + std::to_string(s.requested) + " asked, at most " + std::to_string(s.capacity) +
         " on a node";
}

}  // namespace

Reasons::Group& Reasons::GroupOf(const Verdict& verdict) {
  const auto is_it = [&](const Group& group) {
    return group.resolvable == verdict.resolvable && group.refusal == verdict.refusal &&
           std::equal(group.shortages.begin(), group.shortages.end(), verdict.shortages.begin(),
                      verdict.shortages.end(), [](Shortage kind, const Insufficient& shortage) {
                        return kind == shortage.shortage;
                      });
  };
  const auto found = std::find_if(groups_.begin(), groups_.end(), is_it);
  if (found != groups_.end()) return *found;
  Group group{{}, verdict.refusal, verdict.resolvable, {}};
  for (const Insufficient& shortage : verdict.shortages)
    group.shortages.push_back(shortage.shortage);
  return groups_.emplace_back(std::move(group));
}

void Reasons::Add(std::string_view node, const Verdict& verdict) {
  GroupOf(verdict).nodes.push_back(node);
  for (const Insufficient& shortage : verdict.shortages) {
    const auto [known, is_new] =
        nearest_.try_emplace({shortage.shortage, verdict.resolvable}, shortage);
    if (!is_new && Missing(shortage) < Missing(known->second)) known->second = shortage;
  }
}

std::string Reasons::Word(const Group& group) const {
  std::string text(group.refusal);
  for (const Shortage shortage : group.shortages) {
    text += (text.empty() ? "" : "; ") +
            WordOf(nearest_.at({shortage, group.resolvable}), group.resolvable);
  }
  return text;
}

void Reasons::Write(FilterResult& result) const {
  for (const Group& group : groups_) {
    auto& list = group.resolvable ? result.failed : result.failed_and_unresolvable;
    const std::string text = Word(group);
    for (const std::string_view node : group.nodes) list.push_back({std::string(node), text});
  }
}

std::string Reasons::Summary() const {
  std::string text;
  for (const Group& group : groups_) {
    text += (text.empty() ? "" : ", ") + std::to_string(group.nodes.size()) + " " + Word(group);
  }
  return text;
}

std::map<std::string_view, int> Reasons::Counts() const {
  std::map<std::string_view, int> counts;
  for (const Group& group : groups_) {
    const int nodes = static_cast<int>(group.nodes.size());
    if (group.shortages.empty()) counts[kClosed] += nodes;
    for (const Shortage shortage : group.shortages) counts[ShortageLabel(shortage)] += nodes;
  }
  return counts;
}

bool TellsReason(std::string_view text) {
  const auto has = [&](std::string_view reason) {
    return text.find(reason) != std::string_view::npos;
  };
  return has(kRefusalUnknownAssignment) || has(kRefusalBadInventory) || has(kRefusalNoInventory) ||
         std::any_of(kLabels.begin(), kLabels.end(), [&](const auto& label) {
           return has(std::string(binpack::ReasonText(label.first)) + ": ");
         });
}

std::string_view ShortageLabel(Shortage shortage) {
  for (const auto& [known, label] : kLabels) {
    if (known == shortage) return label;
  }
  return kClosed;
}

std::vector<std::string_view> AllShortageLabels() {
  std::vector<std::string_view> labels = {kClosed};
  for (const auto& [shortage, label] : kLabels) labels.push_back(label);
  return labels;
}

}  // namespace tessera::extender
