#include "extender/reasons.h"

#include <array>
#include <utility>

namespace tessera::extender {
namespace {

using binpack::Insufficient;
using binpack::Shortage;

constexpr std::string_view kClosed = "closed";

constexpr std::array<std::pair<Shortage, std::string_view>, 10> kLabels = {
    {{Shortage::kGpus, "gpus"},
     {Shortage::kModel, "model"},
     {Shortage::kUuid, "uuid"},
     {Shortage::kHealth, "health"},
     {Shortage::kUnshared, "unshared"},
     {Shortage::kMemory, "memory"},
     {Shortage::kCores, "cores"},
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
  if (s.shortage == Shortage::kCores) return text + Amounts(s, " %", resolvable);
  return text + std::to_string(s.requested) + " asked, at most " + std::to_string(s.capacity) +
         " on a node";
}

}  // namespace

void Reasons::Add(std::string_view node, const std::vector<Insufficient>& shortages,
                  bool resolvable) {
  Rejected rejected{std::string(node), {}, {}, resolvable};
  for (const Insufficient& shortage : shortages) {
    rejected.shortages.push_back(shortage.shortage);
    const auto [known, is_new] = nearest_.try_emplace({shortage.shortage, resolvable}, shortage);
    if (!is_new && Missing(shortage) < Missing(known->second)) known->second = shortage;
  }
  rejected_.push_back(std::move(rejected));
}

void Reasons::Add(std::string_view node, std::string_view reason, bool resolvable) {
  rejected_.push_back({std::string(node), {}, reason, resolvable});
}

std::string Reasons::Word(const Rejected& rejected) const {
  std::string text(rejected.refusal);
  for (const Shortage shortage : rejected.shortages) {
    text += (text.empty() ? "" : "; ") +
            WordOf(nearest_.at({shortage, rejected.resolvable}), rejected.resolvable);
  }
  return text;
}

void Reasons::Write(FilterResult& result) const {
  for (const Rejected& rejected : rejected_) {
    auto& list = rejected.resolvable ? result.failed : result.failed_and_unresolvable;
    list.push_back({rejected.node, Word(rejected)});
  }
}

std::map<std::string_view, int> Reasons::Counts() const {
  std::map<std::string_view, int> counts;
  for (const Rejected& rejected : rejected_) {
    if (rejected.shortages.empty()) ++counts[kClosed];
    for (const Shortage shortage : rejected.shortages) ++counts[ShortageLabel(shortage)];
  }
  return counts;
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
