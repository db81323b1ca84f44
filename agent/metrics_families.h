#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace tessera::agent {

using Labels = std::vector<std::pair<std::string, std::string>>;

/// The agent's metric families, in a constant order. Equal labels are added once, the first value
/// stays. Thread-compatible.
class Families {
 public:
  /// All that README.md lists, without a series.
  Families();

  /// REQUIRES: there is a family `name`.
  void Add(const std::string& name, const Labels& labels, double value);

  /// Those that have a series. The last call.
  std::vector<prometheus::MetricFamily> Take();

 private:
  void Declare(const std::string& name, prometheus::MetricType type, const std::string& help);
  void Gauge(const std::string& name, const std::string& help);
  void Counter(const std::string& name, const std::string& help);
  void DeclareGpuFamilies();
  void DeclareContainerFamilies();
  void DeclareAgentFamilies();
  void DeclareMpsFamilies();

  std::map<std::string, std::size_t> index_;
  std::vector<prometheus::MetricFamily> families_;
  std::vector<std::set<Labels>> seen_;
};

}  // namespace tessera::agent
