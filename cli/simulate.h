#pragma once

#include <string>
#include <vector>

#include "binpack/simulate/churn.h"
#include "binpack/simulate/replay.h"

/// What `kubectl tessera simulate` computes and shows. Pure: traces in, text out.
namespace tessera::cli {

struct SimulateOptions {
  std::vector<std::string> policies;  ///< names of binpack::simulate::PolicyNames
  double load = 1.3;
  std::uint64_t seed = 1;  ///< of the first run
  int seeds = 1;           ///< runs of each policy
  bool learned = false;    ///< the policy sees no pod before it comes
  double churn = 0;        ///< offered load of a churn experiment instead of a replay; 0: replay
  binpack::ValueWeights weights{};
};

/// One run of one policy.
struct SimulatedRun {
  std::string policy;
  std::uint64_t seed = 0;
  binpack::simulate::ReplayResult result;
};

struct ChurnRun {
  std::string policy;
  std::uint64_t seed = 0;
  binpack::simulate::ChurnResult result;
};

/// Arrivals after which a policy that learns takes up what it has learned: soon at first, then
/// every few hundred.
bool RefreshAfter(int arrivals);

/// Runs every policy with every seed. REQUIRES: names that exist, a trace that can be replayed.
std::vector<SimulatedRun> Simulate(const binpack::simulate::Trace& trace,
                                   const SimulateOptions& options,
                                   const binpack::simulate::NanoClock& clock);
std::vector<ChurnRun> SimulateChurn(const binpack::simulate::Trace& trace,
                                    const SimulateOptions& options);

/// Means over the seeds, one line for each policy.
std::string SimulationTable(const std::vector<SimulatedRun>& runs);
/// One line for each run: {"policy":…,"seed":…,"alloc":{"1.0":…},"allocMemory":{…},"failed":…,
/// "frag":…,"decision_us":{"mean":…,"p99":…}}. Allocation and fragmentation are parts of capacity.
std::string SimulationJson(const std::vector<SimulatedRun>& runs);
std::string ChurnTable(const std::vector<ChurnRun>& runs);
/// {"policy":…,"seed":…,"allocated":…,"blocked":…}, one line for each run.
std::string ChurnJson(const std::vector<ChurnRun>& runs);
/// Allocation against arrived load, means over the seeds, as an SVG picture.
std::string SimulationPlot(const std::vector<SimulatedRun>& runs);

/// "rest=0" → weights. Errors name the term.
Result<void> SetWeight(const std::string& assignment, binpack::ValueWeights& weights);

}  // namespace tessera::cli
