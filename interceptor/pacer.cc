#include "interceptor/pacer.h"

#include <algorithm>
#include <bit>

namespace tessera {
namespace {

/// Work that is let through at a time, if kernels are that short.
constexpr std::uint64_t kRoundNs = 3'000'000;
constexpr std::uint64_t kMostQueuedNs = 7'000'000;
/// What a turn may take beyond its credit: one that ends in single launches keeps the GPU waiting.
constexpr std::uint64_t kOverdraftNs = 1'000'000;
/// By so much an answer may come late on a busy machine.
constexpr std::uint64_t kLateNs = 1'000'000;
/// An answer that takes so long means that something ran, though no launch was seen.
constexpr std::uint64_t kNoWorkNs = 100'000;
/// A launch is counted just before the driver has it, so nothing is idle before it was asked twice.
constexpr int kQuietRounds = 2;
constexpr std::uint64_t kQuietHurry = 4;
/// Between two questions to the driver where little is queued, on average. It could be asked all
/// the time.
constexpr std::uint64_t kShortNapNs = 150'000;
/// By how much longer a nap is than it should be: of so many naps, and at most.
constexpr std::uint64_t kLateMemory = 15;
constexpr std::uint64_t kMostLateNs = 200'000;
constexpr std::uint64_t kLn2Permille = 693;
constexpr std::uint64_t kSkipNapNs = 1'000'000;
constexpr std::uint64_t kMostCredits = 4096;
constexpr std::uint64_t kLongestNapNs = 20'000'000;
/// How often a closed window is looked at.
constexpr std::uint64_t kSoonNs = 100'000;
constexpr std::uint64_t kLaterNs = 1'000'000;

}  // namespace

Pacer::Step Pacer::Knocked(std::uint64_t now_ns, std::uint64_t first_ns, std::uint64_t launched) {
  // Its time may be unknown yet: the thread that knocks tells it late.
  busy_from_ns_ = std::clamp(first_ns, busy_from_ns_, now_ns);
  fresh_ = true;
  quiet_ = 0;
  return Next(now_ns, launched);
}

Pacer::Step Pacer::Opened(std::uint64_t now_ns, std::uint64_t launched) {
  return Knocked(now_ns, now_ns, launched);
}

void Pacer::StartAt(std::uint64_t launched, bool may_run) {
  ended_ = launched;
  settling_ = may_run;
  draining_ = false;
}

Pacer::Step Pacer::Settled(const Answer& answer) {
  settling_ = false;
  ended_ = std::max(ended_, answer.seen);
  if (answer.now_ns - answer.asked_ns > kNoWorkNs) {
    region::CountUse(pace_, law_.percent, answer.asked_ns, answer.now_ns);
  }
  busy_from_ns_ = answer.now_ns;
  quiet_ = 0;
  return Next(answer.now_ns, answer.launched);
}

Pacer::Step Pacer::Synced(const Answer& answer) {
  if (settling_) return Settled(answer);
  const std::uint64_t ended = answer.seen > ended_ ? answer.seen - ended_ : 0;
  ended_ += ended;
  Count(answer, ended);
  busy_from_ns_ = answer.now_ns;
  quiet_ = ended == 0 && answer.launched == answer.seen ? quiet_ + 1 : 0;
  return Next(answer.now_ns, answer.launched);
}

/// What the GPU worked for us since it was asked last.
void Pacer::Count(const Answer& answer, std::uint64_t ended) {
  const std::uint64_t took = answer.now_ns - answer.asked_ns;
  pace_.ended_launches.fetch_add(ended, std::memory_order_relaxed);
  // So much was queued, when we went to sleep or when we asked, that one followed the other.
  const bool deep = mean_nap_ns_ == 0 || (took >= kShortNapNs && ended > 1);
  if (!deep) pace_.shallow_launches.fetch_add(ended, std::memory_order_relaxed);
  if (ended > 0) {
    Learn(answer.now_ns - busy_from_ns_, ended, answer.launched > answer.seen && !fresh_);
    fresh_ = false;
  }
  const std::uint64_t waited = answer.asked_ns - busy_from_ns_;
  const std::uint64_t late = waited > nap_ns_ ? waited - nap_ns_ : 0;
  late_ns_ = (kLateMemory * late_ns_ + std::min(late, kMostLateNs)) / (kLateMemory + 1);
  const auto work = busy_.Take({.waited_ns = waited,
                                .mean_wait_ns = mean_nap_ns_ == 0 ? 0 : mean_nap_ns_ + late_ns_,
                                .took_ns = took});
  if (waited > 0) {
    region::CountUse(pace_, law_.percent, busy_from_ns_, answer.asked_ns,
                     law_.work_permille * work.before_ns / waited);
  }
  if (work.goes_on && (ended > 0 || took > kNoWorkNs)) {
    region::CountUse(pace_, law_.percent, answer.asked_ns, answer.now_ns, law_.work_permille);
  }
}

Pacer::Step Pacer::Skipped(std::uint64_t now_ns, std::uint64_t launched) {
  const std::uint64_t elapsed = now_ns - busy_from_ns_;
  const std::uint64_t queued = launched > ended_ ? launched - ended_ : 0;
  // Of what is unknown there is no guess, and the capture may need a launch to come to an end.
  settling_ = false;
  if (average_ns_ == 0 || queued == 0) {
    ended_ += queued;
    busy_from_ns_ = now_ns;
  } else if (const std::uint64_t ended = std::min(queued, elapsed / average_ns_); ended > 0) {
    const std::uint64_t until = busy_from_ns_ + ended * average_ns_;
    region::CountUse(pace_, law_.percent, busy_from_ns_, until);
    ended_ += ended;
    busy_from_ns_ = ended == queued ? now_ns : until;
  }
  quiet_ = 0;
  Step step = Next(now_ns, launched);
  step.nap_ns = std::max(step.nap_ns, kSkipNapNs);
  return step;
}

Pacer::Step Pacer::Paused(std::uint64_t now_ns) {
  if (law_.percent != 0) {
    const std::int64_t credit = region::CreditNs(pace_, law_.percent, now_ns);
    const std::int64_t enough = law_.HasEnd() ? 0 : PauseNs();
    if (credit < enough) {
      return {.kind = Step::Kind::kPause,
              .until_ns = now_ns + static_cast<std::uint64_t>(enough - credit)};
    }
  }
  if (law_.IsOpen(now_ns)) return Rest(now_ns);
  return {.kind = Step::Kind::kPause, .until_ns = WhenToLook(now_ns), .for_window = true};
}

Pacer::Step Pacer::Next(std::uint64_t now_ns, std::uint64_t launched) {
  const std::uint64_t known = launched > ended_ ? launched - ended_ : 0;
  const std::uint64_t queued = settling_ ? std::max<std::uint64_t>(known, 1) : known;
  if (draining_ && queued == 0) {
    draining_ = false;
    return Paused(now_ns);
  }
  const std::int64_t usable = UsableNs(now_ns);
  if (usable <= 0 || draining_) {
    draining_ = true;
    return {.kind = Step::Kind::kDrain, .credits = 0, .nap_ns = Nap(queued)};
  }
  if (quiet_ >= kQuietRounds) return Rest(now_ns);
  return Round(usable, queued);
}

Pacer::Step Pacer::Rest(std::uint64_t now_ns) {
  Step step = Round(UsableNs(now_ns), 0);
  step.kind = Step::Kind::kRest;
  step.more_credits = 0;
  return step;
}

std::int64_t Pacer::PauseNs() const {
  return static_cast<std::int64_t>(region::PauseNs(law_.percent));
}

/// GPU time that may still be used without a break. A window is not cut short for a share that its
/// next one will be waited for anyhow: it may be used on credit, a turn's worth.
std::int64_t Pacer::UsableNs(std::uint64_t now_ns) const {
  constexpr std::int64_t kNoEnd = 3'600'000'000'000;
  std::int64_t usable = kNoEnd;
  if (law_.percent != 0) {
    const std::int64_t lent = law_.HasEnd() ? PauseNs() : 0;
    usable = region::UsableNs(region::CreditNs(pace_, law_.percent, now_ns) + lent, law_.percent);
  }
  if (!law_.HasEnd()) return usable;
  if (!law_.IsOpen(now_ns)) return 0;
  const std::uint64_t left = law_.open_until_ns - now_ns;
  return left < static_cast<std::uint64_t>(usable > 0 ? usable : 0)
             ? static_cast<std::int64_t>(left)
             : usable;
}

/// The agent cannot wake who waits for a window. It may open before it was likely to, where others
/// have given theirs up.
std::uint64_t Pacer::WhenToLook(std::uint64_t now_ns) const {
  const std::uint64_t likely = law_.likely_open_ns;
  if (likely <= now_ns + kSoonNs) return now_ns + kSoonNs;
  return std::min(likely, now_ns + kLaterNs);
}

/// How many launches are done in that time. Beside others, whom the hardware lets in between, the
/// average is several times too long: who has time to spare would be let through one by one, lose
/// his turn on the GPU each time, and be slower still.
std::uint64_t Pacer::LaunchesIn(std::uint64_t ns, std::uint64_t usable_ns) const {
  if (average_ns_ == 0) return 0;
  const bool has_time = usable_ns > region::kTurnNs;
  return std::max(ns / average_ns_, has_time ? proven_ * ns / kMostQueuedNs : 0);
}

Pacer::Step Pacer::Round(std::int64_t usable_ns, std::uint64_t queued) {
  const auto usable = static_cast<std::uint64_t>(std::max<std::int64_t>(usable_ns, 0));
  // Of long kernels one runs and one is ready.
  const std::uint64_t room_ns =
      std::min(std::max(kMostQueuedNs, 2 * average_ns_), usable + kOverdraftNs);
  const std::uint64_t room = LaunchesIn(room_ns, usable);
  const std::uint64_t left = room > queued ? room - queued : 0;
  const std::uint64_t most = std::min({std::max<std::uint64_t>(LaunchesIn(kRoundNs, usable), 1),
                                       4 * last_credits_ + 1, kMostCredits});
  Step step{.kind = Step::Kind::kRound, .credits = 0};
  if (queued == 0) step.credits = std::max<std::uint64_t>(std::min(left, most), 1);
  step.more_credits = std::min(left > step.credits ? left - step.credits : 0, most);
  if (step.credits + step.more_credits != 0) {
    last_credits_ = std::max(step.credits, step.more_credits);
  }
  step.nap_ns = Nap(queued);
  return step;
}

/// If more was queued when the answer came, the GPU worked for us all the time, unless others had
/// it before. If not, some of the time is the answer's delay, or ours.
void Pacer::Learn(std::uint64_t took_ns, std::uint64_t ended, bool all_work) {
  const std::uint64_t late = all_work ? 0 : std::min(kLateNs, took_ns * 3 / 4);
  const std::uint64_t most = std::max<std::uint64_t>(took_ns / ended, 1);
  const std::uint64_t least = std::max<std::uint64_t>((took_ns - late) / ended, 1);
  // Up at once, down slowly: to let too many through costs more than to let too few.
  if (average_ns_ < least) {
    average_ns_ = least;
  } else if (average_ns_ > most) {
    average_ns_ = (3 * average_ns_ + most) / 4;
  }
  const bool shorter = shortest_ns_ == 0 || least < shortest_ns_;
  shortest_ns_ = shorter ? least : shortest_ns_ + (least - shortest_ns_) / 8;
  // As many as would have been done in time, but no more than a few times what was; one wait for
  // others is the same for one launch as for a hundred, so who launched little has shown nothing.
  const std::uint64_t in_time = std::min(kMostQueuedNs / most, 4 * ended + 1);
  proven_ = took_ns > kMostQueuedNs ? in_time : std::max(proven_, in_time);
}

/// Half of what is surely to come, so that a wrong guess does not keep the GPU idle. Where little
/// is queued, at moments that have nothing to do with what the program does (BusyShare).
std::uint64_t Pacer::Nap(std::uint64_t queued) {
  const std::uint64_t half = std::min(queued * shortest_ns_ / 2, kLongestNapNs);
  const bool in_a_hurry = queued == 0 && quiet_ > 0;
  mean_nap_ns_ = in_a_hurry ? kShortNapNs / kQuietHurry : kShortNapNs;
  if (half > kShortNapNs) mean_nap_ns_ = 0;
  nap_ns_ = mean_nap_ns_ == 0 ? half : RandomNap(mean_nap_ns_);
  return nap_ns_;
}

/// Exponentially distributed: -ln(u) by a linear piece for each power
/// of two, which is within a tenth.
std::uint64_t Pacer::RandomNap(std::uint64_t mean_ns) {
  random_ = random_ * 6364136223846793005 + 1442695040888963407;
  const std::uint64_t bits = random_ >> 32 | 1;
  const int zeros = std::countl_zero(static_cast<std::uint32_t>(bits));
  const std::uint64_t top = std::uint64_t{1} << (31 - zeros);
  const std::uint64_t piece = kLn2Permille * mean_ns / 1000;
  const std::uint64_t nap =
      piece * static_cast<std::uint64_t>(zeros) + piece - piece * (bits - top) / top;
  return std::min(nap, 4 * mean_ns);
}

}  // namespace tessera
