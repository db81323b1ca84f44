#pragma once

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "binpack/simulate/mig_churn.h"
#include "cli/simulate.h"
#include "common/app/flags.h"

namespace tessera::cli {

/// `kubectl tessera simulate`: flags, files and the API server around Simulate.
class SimulateCommand {
 public:
  /// Adds the subcommand to `program`. This must outlive parsing.
  explicit SimulateCommand(CLI::App& program);

  /// True if it is what the user asked for.
  bool chosen() const { return command_->parsed(); }
  /// What to print. Warnings go to stderr, the picture to its file.
  Result<std::string> Run(const app::ServerFlags& flags) const;

 private:
  void AddMigOptions();
  Result<std::string> RunMig() const;
  Result<binpack::simulate::Trace> LoadTrace(const app::ServerFlags& flags) const;

  CLI::App* command_;
  SimulateOptions options_;
  std::string nodes_file_;
  std::string pods_file_;
  bool from_cluster_ = false;
  std::string workload_ = "known";
  std::string output_ = "table";
  std::string plot_file_;
  double memory_correlation_ = -1;
  std::vector<std::string> weights_;
  std::string mig_family_;
  binpack::simulate::MigOptions mig_;
};

}  // namespace tessera::cli
