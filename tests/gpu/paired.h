#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

/// What pairs of measurements, one right after the other, say about a difference.
namespace paired {

/// The value below which that part of them lies. REQUIRES: values is not empty, 0 <= part <= 1.
inline double Quantile(std::vector<double> values, double part) {
  const auto at = static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}
inline double Median(std::vector<double> values) { return Quantile(std::move(values), 0.5); }

/// Nanoseconds for one call, of the driver's own function and of the one that dlsym gives.
struct Pairs {
  std::vector<double> own;
  std::vector<double> found;

  std::vector<double> Differences() const {
    std::vector<double> differences;
    for (std::size_t i = 0; i < own.size(); ++i) differences.push_back(found[i] - own[i]);
    return differences;
  }
};

}  // namespace paired
