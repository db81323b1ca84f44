#include "agent/arbiter/calibration.h"

#include <algorithm>
#include <cmath>

namespace tessera::agent {
namespace {

constexpr std::uint64_t kPointEveryNs = 20'000'000;
constexpr std::uint64_t kRememberNs = 1'200'000'000;
/// Gates need a moment to open and close, and what ran while nobody counted counts for nobody.
constexpr std::uint64_t kOpeningNs = 50'000'000;
/// What was seen so long ago counts 1/e.
constexpr double kFadeNs = 2e9;
/// Less than that was counted: of a percent of utilisation too much would be rounding.
constexpr double kLeastPart = 0.05;
/// So much has to have been counted before anything is told.
constexpr double kEnoughNs = 100e6;
/// By so much two samples in a row have to say more than what was learned for the rest to be
/// forgotten: a program that begins with long kernels must not go on as one of short ones.
constexpr double kJump = 0.2;
/// One sample that says more than this is of work that is nobody's here; less is how its ends fall
/// between long kernels.
constexpr double kMostPart = 1.5;
/// What utilisation is told too low by, at the most: it is a whole number of percents, and a sample
/// begins somewhere.
constexpr double kDoubt = 0.005;
/// Beyond that there is nothing to correct.
constexpr double kExact = 0.98;
/// A launch is under way for so much longer than its kernel, at the most; 7 us on an H200.
constexpr double kMostLaunchNs = 15e3;
/// Nobody launches faster.
constexpr double kLeastLaunchNs = 1e3;
/// What a launch behind others is given of what another is: the GPU goes from one to the next.
constexpr double kPartOfDeep = 1.0 / 32;
/// Who counts so much of all counts it alone: what is too much is its own.
constexpr double kAlone = 0.95;
/// Of what was not looked at yet.
constexpr std::uint64_t kMostAheadNs = 1'000'000'000;
constexpr std::size_t kMostSamples = 16;
constexpr std::uint32_t kFullPermille = 850;
constexpr std::uint64_t kStaysFullNs = 1'000'000'000;
/// So long after the last sample what was learned is still told: nobody would notice that a program
/// has turned to long kernels, and a cap would be several times what it is.
constexpr std::uint64_t kCheckedNs = 2'000'000'000;
/// A scribbler's sum, more than centuries; beyond it a double is no whole number of 64 bits.
constexpr double kMostCountedNs = 9e18;

}  // namespace

void Calibration::Look(std::uint64_t now_ns, std::span<const Count> counts, bool windows) {
  if (windows != windows_ || now_ns - last_look_ns_ > region::kGrantLifeNs) {
    same_from_ns_ = now_ns + kOpeningNs;
  }
  windows_ = windows;
  last_look_ns_ = now_ns;
  for (auto& [key, tenant] : tenants_) tenant.seen = false;
  for (const Count& count : counts) {
    const auto [found, is_new] = tenants_.try_emplace(count.key);
    found->second.seen = true;
    found->second.Add(now_ns, count, is_new);
  }
  std::erase_if(tenants_, [](const auto& entry) { return !entry.second.seen; });
  Settle();
}

void Calibration::Tenant::Add(std::uint64_t now_ns, const Count& count, bool is_new) {
  Point point = points.empty() ? Point{} : points.back();
  point.at_ns = now_ns;
  // A region that was replaced begins at nothing.
  if (!is_new && count.used_ns >= used_ns && count.launches >= launches &&
      count.shallow_launches >= shallow_launches) {
    const auto used = static_cast<double>(count.used_ns - used_ns);
    const auto ended = static_cast<double>(count.launches - launches);
    const auto shallow = static_cast<double>(count.shallow_launches - shallow_launches);
    point.use.counted_ns += used * region::kAllWork / told_permille;
    point.use.launches += ended;
    point.use.parts += std::min(ended, shallow + kPartOfDeep * ended);
  }
  used_ns = count.used_ns;
  launches = count.launches;
  shallow_launches = count.shallow_launches;
  const bool same = points.size() > 1 && now_ns - points[points.size() - 2].at_ns < kPointEveryNs;
  if (same) points.pop_back();
  points.push_back(point);
  while (now_ns - points.front().at_ns > kRememberNs) points.pop_front();
}

Calibration::Use Calibration::Tenant::Until(std::uint64_t at_ns) const {
  const auto after =
      std::lower_bound(points.begin(), points.end(), at_ns,
                       [](const Point& p, std::uint64_t at) { return p.at_ns < at; });
  if (after == points.begin()) return points.front().use;
  if (after == points.end()) return points.back().use;
  const Point& before = *std::prev(after);
  const double part =
      static_cast<double>(at_ns - before.at_ns) / static_cast<double>(after->at_ns - before.at_ns);
  const auto mean = [part](double from, double to) { return from + part * (to - from); };
  return {mean(before.use.counted_ns, after->use.counted_ns),
          mean(before.use.launches, after->use.launches), mean(before.use.parts, after->use.parts)};
}

/// Nobody has used more than all of the time.
Calibration::Use Calibration::Tenant::Between(std::uint64_t from_ns, std::uint64_t to_ns) const {
  if (points.empty()) return {};
  const Use from = Until(from_ns);
  const Use to = Until(to_ns);
  const double counted =
      std::min(to.counted_ns - from.counted_ns, static_cast<double>(to_ns - from_ns));
  const double ended = std::min(to.launches - from.launches, counted / kLeastLaunchNs);
  return {counted, ended, std::min(to.parts - from.parts, ended)};
}

void Calibration::Take(const BusySample& sample) {
  const bool believed = sample.from_ns < sample.to_ns && sample.permille <= 1000 &&
                        sample.to_ns <= last_look_ns_ + kMostAheadNs;
  if (!believed) return;
  samples_.push_back(sample);
  if (samples_.size() > kMostSamples) samples_.pop_front();
  Settle();
}

/// What lies behind us at the last look.
void Calibration::Settle() {
  while (!samples_.empty() && samples_.front().to_ns <= last_look_ns_) {
    const BusySample sample = samples_.front();
    samples_.pop_front();
    if (sample.from_ns >= last_sample_ns_) Learn(sample);
  }
}

void Calibration::Learn(const BusySample& sample) {
  last_sample_ns_ = sample.to_ns;
  told_until_ns_ = sample.to_ns + kStaysFullNs;
  if (sample.permille >= kFullPermille) full_until_ns_ = told_until_ns_;
  if (sample.from_ns >= same_from_ns_) Divide(sample);
}

void Calibration::Divide(const BusySample& sample) {
  Use all;
  for (const auto& [key, tenant] : tenants_) {
    const Use use = tenant.Between(sample.from_ns, sample.to_ns);
    all.counted_ns += use.counted_ns;
    all.parts += use.parts;
  }
  const auto length = static_cast<double>(sample.to_ns - sample.from_ns);
  if (all.counted_ns < kLeastPart * length) return;
  const double worked = length * sample.permille / 1000;
  // Windows are disjoint.
  const double counted = windows_ ? std::min(all.counted_ns, length) : all.counted_ns;
  const double excess = counted - worked;
  for (auto& [key, tenant] : tenants_) {
    const Use use = tenant.Between(sample.from_ns, sample.to_ns);
    if (use.counted_ns <= 0) continue;
    const bool alone = use.counted_ns >= kAlone * all.counted_ns;
    const double due = alone ? excess : excess * use.parts / std::max(all.parts, 1e-9);
    const double most = (alone ? use.launches : use.parts) * kMostLaunchNs;
    const double own = std::min({due, most, use.counted_ns});
    const double part = excess > 0 ? 1 - own / use.counted_ns : worked / counted;
    (windows_ ? tenant.windows : tenant.open).Take(use.counted_ns, part, length);
  }
}

void Calibration::Lesson::Take(double counted, double part, double length_ns) {
  const bool more = counted_ns_ > 0 && part > worked_ns_ / counted_ns_ + kJump;
  const bool jumps = more && said_more_;
  said_more_ = more;
  if (part > kMostPart && !jumps) return;
  const double stays = jumps ? 0 : std::exp(-length_ns / kFadeNs);
  counted_ns_ = stays * counted_ns_ + counted;
  worked_ns_ = stays * worked_ns_ + std::min(part, kMostPart) * counted;
  if (counted_ns_ < kEnoughNs && !jumps) return;
  const double known = worked_ns_ / counted_ns_ + kDoubt;
  permille_ = known >= kExact ? region::kAllWork
                              : region::WorkPermille(static_cast<std::uint64_t>(1000 * known));
}

bool Calibration::MayBeFull(std::uint64_t now_ns) const {
  return now_ns >= told_until_ns_ || now_ns < full_until_ns_;
}

std::uint32_t Calibration::Tell(std::uint64_t key, bool windows) {
  const auto found = tenants_.find(key);
  if (found == tenants_.end()) return region::kAllWork;
  Tenant& tenant = found->second;
  const bool checked = last_look_ns_ < last_sample_ns_ + kCheckedNs;
  const Lesson& learned = windows ? tenant.windows : tenant.open;
  tenant.told_permille = checked ? learned.permille() : region::kAllWork;
  return tenant.told_permille;
}

std::uint64_t Calibration::CountedNs(std::uint64_t key) const {
  const auto found = tenants_.find(key);
  const bool known = found != tenants_.end() && !found->second.points.empty();
  if (!known) return 0;
  return static_cast<std::uint64_t>(
      std::min(found->second.points.back().use.counted_ns, kMostCountedNs));
}

}  // namespace tessera::agent
