#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sim/demo/cluster.h"
#include "sim/demo/console.h"
#include "sim/demo/evidence.h"
#include "sim/demo/examples.h"

namespace tessera::sim {

/// The story of the demo, step by step, on a cluster. One thread only.
class Flow {
 public:
  Flow(Cluster& cluster, Waiter& waiter, const Console& console)
      : cluster_(cluster), waiter_(waiter), console_(console) {}

  /// Starts everything, runs the examples and shows what they saw. Errors: a step that was
  /// impossible; what was possible but wrong is a failed check.
  Result<void> Run(const std::filesystem::path& examples);
  /// Deletes the pods and checks that everything is given back.
  Result<void> CleanUp();

  const CheckList& checks() const { return checks_; }
  /// Logs of containers whose checks failed.
  const std::vector<std::filesystem::path>& suspicious_logs() const { return suspicious_logs_; }

 private:
  Result<double> Fragmentation();
  Result<void> ApplyExamples();
  void TryMalformedPod();
  Result<bool> Collect();
  Result<void> CollectPod(const Example& example, bool& complete);
  Result<void> WaitForPods();
  void ShowResult() const;
  void Judge();
  void JudgeExample(const Example& example);
  std::string CompareMetrics();
  std::string GpuMemoryInUse();

  Cluster& cluster_;
  Waiter& waiter_;
  const Console& console_;
  CheckList checks_;
  std::vector<Example> examples_;
  std::map<std::string, contract::Inventory> inventories_;
  std::vector<ContainerEvidence> evidence_;
  std::map<std::string, std::string> pending_;  ///< namespace/name -> why
  std::vector<std::filesystem::path> suspicious_logs_;
  double fragmentation_before_ = 0;
  double fragmentation_after_ = 0;
};

}  // namespace tessera::sim
