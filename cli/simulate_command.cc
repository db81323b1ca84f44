#include "cli/simulate_command.h"

#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cli/simulate_cluster.h"
#include "cli/simulate_mig.h"

namespace tessera::cli {
namespace {

constexpr std::uint64_t kMemorySeed = 7;  ///< of the derived second dimension; fixed, as a trace is

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file || text.fail()) return Fail(Errc::kNotFound, "cannot read " + path);
  return text.str();
}

std::int64_t Nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<binpack::simulate::Trace> TraceOfFiles(const std::string& nodes, const std::string& pods) {
  binpack::simulate::Trace trace;
  TESSERA_TRY(const std::string node_text, ReadFile(nodes));
  TESSERA_TRY(const std::string pod_text, ReadFile(pods));
  if (auto read = ParseNodes(node_text, trace); !read) return Wrap(std::move(read).error(), nodes);
  if (auto read = ParsePods(pod_text, trace); !read) return Wrap(std::move(read).error(), pods);
  return trace;
}

}  // namespace

SimulateCommand::SimulateCommand(CLI::App& program)
    : command_(program.add_subcommand(
          "simulate",
          "What a cluster would hold with each placement policy: replays pods as they come")) {
  command_->fallthrough();
  auto* nodes =
      command_->add_option("--nodes", nodes_file_, "CSV: sn,cpu_milli,memory_mib,gpu,model");
  auto* pods = command_->add_option(
      "--pods", pods_file_,
      "CSV: cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec][,gpu_memory_milli]");
  nodes->needs(pods);
  pods->needs(nodes);
  command_
      ->add_flag("--from-cluster", from_cluster_,
                 "Nodes and running pods of the API server instead")
      ->excludes(nodes);
  command_
      ->add_option("--policy", options_.policies,
                   "random, best-fit, hami, fgd, fragment; default all")
      ->delimiter(',')
      ->check(CLI::IsMember(binpack::simulate::PolicyNames()));
  command_->add_option("--load", options_.load, "Pods arrive up to this part of GPU capacity")
      ->check(CLI::Range(0.01, 10.0))
      ->capture_default_str();
  command_->add_option("--seed", options_.seed, "Of the first run")->capture_default_str();
  command_->add_option("--seeds", options_.seeds, "Runs of each policy, one seed after the other")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command_
      ->add_option("--workload", workload_,
                   "known: the mix of pods from the start; learned: from arrivals")
      ->check(CLI::IsMember({"known", "learned"}))
      ->capture_default_str();
  command_->add_option("-o,--output", output_, "table or json, one line for each run")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  command_->add_option("--plot", plot_file_,
                       "Draws allocation against arrived load into this SVG file");
  command_
      ->add_option("--churn", options_.churn,
                   "Pods leave too; this part of capacity is in demand on average")
      ->check(CLI::Range(0.01, 10.0));
  command_
      ->add_option("--memory-correlation", memory_correlation_,
                   "Gives sharing pods other shares of memory, with this rank correlation to cores")
      ->check(CLI::Range(0.0, 1.0));
  command_
      ->add_option("--weight", weights_,
                   "TERM=NUMBER of the fragment policy; see binpack/README.md")
      ->delimiter(',');
  AddMigOptions();
}

void SimulateCommand::AddMigOptions() {
  auto* mig = command_
                  ->add_option("--mig", mig_family_,
                               "Places MIG instances on GPUs of this family instead: A100-40GB, …")
                  ->check(CLI::IsMember(MigFamilyNames()));
  command_->add_option("--mig-mix", mig_.mix, "What is asked for")
      ->needs(mig)
      ->check(CLI::IsMember(binpack::simulate::MigMixNames()))
      ->capture_default_str();
  command_->add_option("--mig-gpus", mig_.gpus, "GPUs that there are")
      ->needs(mig)
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
}

Result<std::string> SimulateCommand::RunMig() const {
  if (!nodes_file_.empty() || from_cluster_ || !plot_file_.empty() || !options_.policies.empty()) {
    return Fail(Errc::kInvalidArgument,
                "--mig goes with --mig-mix, --mig-gpus, --churn, --seed(s) only");
  }
  binpack::simulate::MigOptions mig = mig_;
  mig.seed = options_.seed;
  if (options_.churn > 0) mig.offered = options_.churn;
  const auto runs = SimulateMig(mig_family_, mig, options_.seeds);
  return output_ == "json" ? MigJson(runs) : MigTable(runs);
}

Result<binpack::simulate::Trace> SimulateCommand::LoadTrace(const app::ServerFlags& flags) const {
  if (!from_cluster_) {
    if (nodes_file_.empty()) {
      return Fail(Errc::kInvalidArgument, "give --nodes and --pods, or --from-cluster");
    }
    return TraceOfFiles(nodes_file_, pods_file_);
  }
  TESSERA_TRY(const auto config, app::KubeConfig("kubectl-tessera", flags));
  const SystemClock clock;
  const auto client = kube::MakeClient(config, clock);
  const auto nodes = client->List("/api/v1/nodes");
  if (!nodes) return Wrap(nodes.error(), config.server);
  const auto pods = client->List("/api/v1/pods");
  if (!pods) return Wrap(pods.error(), config.server);
  TESSERA_TRY(auto cluster, TraceOfCluster(nodes->items, pods->items));
  if (cluster.skipped > 0) {
    std::cerr << cluster.skipped << " nodes or pods could not be read and are left out\n";
  }
  return std::move(cluster.trace);
}

Result<std::string> SimulateCommand::Run(const app::ServerFlags& flags) const {
  if (!mig_family_.empty()) return RunMig();
  SimulateOptions options = options_;
  if (options.policies.empty()) options.policies = binpack::simulate::PolicyNames();
  options.learned = workload_ == "learned";
  for (const std::string& weight : weights_) {
    if (auto set = SetWeight(weight, options.weights); !set) return tl::unexpected(set.error());
  }
  TESSERA_TRY(auto trace, LoadTrace(flags));
  if (memory_correlation_ >= 0) {
    trace.pods = binpack::simulate::WithMemoryCorrelation(std::move(trace.pods),
                                                          memory_correlation_, kMemorySeed);
  }
  if (options.churn > 0) {
    if (options.learned || !plot_file_.empty()) {
      return Fail(Errc::kInvalidArgument,
                  "--churn goes with neither --workload learned nor --plot");
    }
    const auto runs = SimulateChurn(trace, options);
    return output_ == "json" ? ChurnJson(runs) : ChurnTable(runs);
  }
  const auto runs = Simulate(trace, options, Nanoseconds);
  if (!plot_file_.empty()) {
    std::ofstream file(plot_file_, std::ios::binary);
    file << SimulationPlot(runs) << std::flush;
    if (!file) return Fail(Errc::kUnavailable, "cannot write " + plot_file_);
  }
  return output_ == "json" ? SimulationJson(runs) : SimulationTable(runs);
}

}  // namespace tessera::cli
