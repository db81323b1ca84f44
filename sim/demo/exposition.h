#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::sim {

/// One line of a Prometheus text page.
struct Sample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

/// The samples of a /metrics page. Lines that are none are left out. Pure.
std::vector<Sample> ParseExposition(std::string_view text);

/// The value of the first sample of that name whose labels contain all of `labels`.
std::optional<double> FindSample(const std::vector<Sample>& samples, std::string_view name,
                                 const std::map<std::string, std::string>& labels = {});

}  // namespace tessera::sim
