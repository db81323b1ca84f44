#include "cli/simulate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include "binpack/place/learned_demand.h"
#include "common/json/json.h"

namespace tessera::cli {
namespace {

using binpack::simulate::Mark;
using binpack::simulate::ReplayOptions;
using binpack::simulate::Trace;

constexpr std::array kReportedLoads{1.0, 1.1, 1.2, 1.3};

std::string Fixed(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

/// Every hundredth up to the load, so that a plot is smooth.
std::vector<double> MarksUpTo(double load) {
  std::vector<double> marks;
  for (int i = 1; i / 100.0 < load + 1e-9; ++i) marks.push_back(i / 100.0);
  return marks;
}

const Mark* At(const std::vector<Mark>& marks, double load) {
  const auto found = std::find_if(marks.begin(), marks.end(), [&](const Mark& mark) {
    return std::abs(mark.load - load) < 1e-6;
  });
  return found == marks.end() ? nullptr : &*found;
}

/// The loads to report of a run: those asked for that it reached, or else its last.
std::vector<Mark> Reported(const std::vector<Mark>& marks) {
  std::vector<Mark> reported;
  for (const double load : kReportedLoads) {
    if (const Mark* mark = At(marks, load)) reported.push_back(*mark);
  }
  if (reported.empty() && !marks.empty()) reported.push_back(marks.back());
  return reported;
}

/// Hands out a policy that knows what has come so far, now and then.
class Learner {
 public:
  Learner(const Trace& trace, std::string policy, std::uint64_t seed,
          const binpack::ValueWeights& weights)
      : trace_(trace), policy_(std::move(policy)), seed_(seed), weights_(weights) {}

  std::unique_ptr<binpack::Policy> operator()(const binpack::PodShape& pod) {
    const bool refresh = RefreshAfter(arrivals_++);
    std::unique_ptr<binpack::Policy> policy;
    if (refresh) {
      policy =
          binpack::simulate::MakePolicy(policy_, trace_.nodes, learned_.demand(), seed_, weights_);
    }
    learned_.Observe(pod);
    return policy;
  }

 private:
  const Trace& trace_;
  std::string policy_;
  std::uint64_t seed_;
  binpack::ValueWeights weights_;
  binpack::LearnedDemand learned_;
  int arrivals_ = 0;
};

std::string PaddedCell(const std::string& text, std::size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

/// The runs of each policy, policies in the order in which they come.
template <typename Run>
std::vector<std::vector<const Run*>> ByPolicy(const std::vector<Run>& runs) {
  std::vector<std::vector<const Run*>> groups;
  for (const Run& run : runs) {
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return group.front()->policy == run.policy;
    });
    if (same == groups.end())
      groups.push_back({&run});
    else
      same->push_back(&run);
  }
  return groups;
}

template <typename Run, typename Get>
double Mean(const std::vector<const Run*>& runs, Get get) {
  double sum = 0;
  for (const Run* run : runs) sum += get(*run);
  return sum / static_cast<double>(runs.size());
}

std::string LoadKey(double load) {
  std::string text = Fixed(load, 2);
  if (text.ends_with('0')) text.pop_back();
  return text;
}

void WriteAllocations(json::Writer& writer, const std::vector<Mark>& marks, double Mark::*member) {
  writer.StartObject();
  for (const Mark& mark : marks) {
    writer.Key(LoadKey(mark.load));
    writer.Raw(Fixed(mark.*member, 5));
  }
  writer.EndObject();
}

}  // namespace

bool RefreshAfter(int arrivals) {
  constexpr int kEvery = 400;
  return arrivals > 0 && (arrivals % kEvery == 0 || (arrivals < kEvery && arrivals >= 25 &&
                                                     (arrivals & (arrivals - 1)) == 0));
}

std::vector<SimulatedRun> Simulate(const Trace& trace, const SimulateOptions& options,
                                   const binpack::simulate::NanoClock& clock) {
  const binpack::Demand known = binpack::simulate::DemandOf(trace.pods);
  std::vector<SimulatedRun> runs;
  for (const std::string& name : options.policies) {
    for (int i = 0; i < options.seeds; ++i) {
      const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
      ReplayOptions replay{
          .load = options.load, .seed = seed, .marks = MarksUpTo(options.load), .clock = clock};
      auto policy = binpack::simulate::MakePolicy(
          name, trace.nodes, options.learned ? binpack::Demand{} : known, seed, options.weights);
      binpack::simulate::Observer observer;
      if (options.learned) observer = Learner(trace, name, seed, options.weights);
      runs.push_back({name, seed, Replay(trace, known, std::move(policy), replay, observer)});
    }
  }
  return runs;
}

std::vector<ChurnRun> SimulateChurn(const Trace& trace, const SimulateOptions& options) {
  const binpack::Demand known = binpack::simulate::DemandOf(trace.pods);
  std::vector<ChurnRun> runs;
  for (const std::string& name : options.policies) {
    for (int i = 0; i < options.seeds; ++i) {
      const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
      auto policy = binpack::simulate::MakePolicy(name, trace.nodes, known, seed, options.weights);
      runs.push_back(
          {name, seed, Churn(trace, std::move(policy), {.offered = options.churn, .seed = seed})});
    }
  }
  return runs;
}

std::string SimulationTable(const std::vector<SimulatedRun>& runs) {
  if (runs.empty()) return "";
  std::string text = "POLICY    ";
  for (const Mark& mark : Reported(runs.front().result.marks)) {
    text += PaddedCell("AT " + Fixed(mark.load * 100, 0) + "%", 10);
  }
  text += "    FAILED  FRAGMENTED  DECISIONS/S   MEAN US    P99 US\n";
  for (const auto& group : ByPolicy(runs)) {
    text += group.front()->policy +
            std::string(10 - std::min<std::size_t>(9, group.front()->policy.size()), ' ');
    for (const Mark& mark : Reported(group.front()->result.marks)) {
      const double mean = Mean(group, [&](const SimulatedRun& run) {
        const Mark* at = At(run.result.marks, mark.load);
        return at == nullptr ? 0.0 : at->cores;
      });
      text += PaddedCell(Fixed(mean * 100, 2) + "%", 10);
    }
    const double us = Mean(group, [](const SimulatedRun& run) { return run.result.mean_us; });
    text += PaddedCell(
        Fixed(Mean(group, [](const auto& run) { return 1.0 * run.result.failed; }), 0), 10);
    text += PaddedCell(
        Fixed(Mean(group, [](const auto& run) { return run.result.fragmentation * 100; }), 2) + "%",
        12);
    text += PaddedCell(us > 0 ? Fixed(1e6 / us, 0) : "-", 13);
    text += PaddedCell(Fixed(us, 1), 10);
    text +=
        PaddedCell(Fixed(Mean(group, [](const auto& run) { return run.result.p99_us; }), 1), 10);
    text += "\n";
  }
  return text;
}

std::string SimulationJson(const std::vector<SimulatedRun>& runs) {
  std::string text;
  for (const SimulatedRun& run : runs) {
    const std::vector<Mark> marks = Reported(run.result.marks);
    json::Writer writer;
    writer.StartObject();
    writer.Key("policy");
    writer.String(run.policy);
    writer.Key("seed");
    writer.Int(static_cast<std::int64_t>(run.seed));
    writer.Key("alloc");
    WriteAllocations(writer, marks, &Mark::cores);
    writer.Key("allocMemory");
    WriteAllocations(writer, marks, &Mark::memory);
    writer.Key("failed");
    writer.Int(run.result.failed);
    writer.Key("failedAt");
    writer.StartObject();
    for (const Mark& mark : marks) {
      writer.Key(LoadKey(mark.load));
      writer.Int(mark.failed);
    }
    writer.EndObject();
    writer.Key("frag");
    writer.Raw(Fixed(run.result.fragmentation, 5));
    writer.Key("decision_us");
    writer.StartObject();
    writer.Key("mean");
    writer.Raw(Fixed(run.result.mean_us, 2));
    writer.Key("p99");
    writer.Raw(Fixed(run.result.p99_us, 2));
    writer.EndObject();
    writer.EndObject();
    text += writer.Take() + "\n";
  }
  return text;
}

std::string ChurnTable(const std::vector<ChurnRun>& runs) {
  std::string text = "POLICY     ALLOCATED   BLOCKED\n";
  for (const auto& group : ByPolicy(runs)) {
    text += group.front()->policy +
            std::string(10 - std::min<std::size_t>(9, group.front()->policy.size()), ' ');
    text += PaddedCell(
        Fixed(Mean(group, [](const auto& run) { return run.result.allocated * 100; }), 2) + "%",
        10);
    text += PaddedCell(
        Fixed(Mean(group, [](const auto& run) { return run.result.blocked * 100; }), 2) + "%", 10);
    text += "\n";
  }
  return text;
}

std::string ChurnJson(const std::vector<ChurnRun>& runs) {
  std::string text;
  for (const ChurnRun& run : runs) {
    json::Writer writer;
    writer.StartObject();
    writer.Key("policy");
    writer.String(run.policy);
    writer.Key("seed");
    writer.Int(static_cast<std::int64_t>(run.seed));
    writer.Key("allocated");
    writer.Raw(Fixed(run.result.allocated, 5));
    writer.Key("blocked");
    writer.Raw(Fixed(run.result.blocked, 5));
    writer.EndObject();
    text += writer.Take() + "\n";
  }
  return text;
}

Result<void> SetWeight(const std::string& assignment, binpack::ValueWeights& weights) {
  const std::map<std::string, double binpack::ValueWeights::*, std::less<>> members{
      {"rest", &binpack::ValueWeights::rest},
      {"scarcity", &binpack::ValueWeights::scarcity},
      {"typical", &binpack::ValueWeights::typical},
      {"stranded", &binpack::ValueWeights::stranded},
      {"cpu", &binpack::ValueWeights::cpu},
      {"slots", &binpack::ValueWeights::slots},
      {"slot_reserve", &binpack::ValueWeights::slot_reserve}};
  const std::size_t equals = assignment.find('=');
  const auto member = members.find(assignment.substr(0, equals));
  if (equals == std::string::npos || member == members.end()) {
    return Fail(Errc::kInvalidArgument,
                "weight \"" + assignment +
                    "\" must be TERM=NUMBER; terms: rest scarcity typical stranded cpu slots "
                    "slot_reserve");
  }
  double value = -1;
  const char* first = assignment.data() + equals + 1;
  const char* last = assignment.data() + assignment.size();
  const auto [end, error] = std::from_chars(first, last, value);
  if (error != std::errc{} || end != last || !(value >= 0 && value <= 1000)) {
    return Fail(Errc::kInvalidArgument,
                "weight " + member->first + " must be a number from 0 to 1000");
  }
  weights.*member->second = value;
  return {};
}

}  // namespace tessera::cli
