#include "binpack/place/rest_worth.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace tessera::binpack {
namespace {

constexpr double kTolerance = 1e-9;
constexpr int kMaxColumns = 5000;

struct Size {
  int memory = 0;  ///< hundredths of a GPU, at least 1
  int cores = 0;
  double demand = 0;
};

std::vector<Size> SizesOf(const Demand& demand, std::size_t most) {
  std::map<std::pair<int, int>, double> sums;
  for (const auto& [shape, frequency] : demand.pods) {
    if (shape.gpus == 0) continue;
    const auto cells = [](int thousandths) { return std::clamp((thousandths + 9) / 10, 1, 100); };
    sums[{cells(shape.share.memory), cells(shape.share.cores)}] += frequency * shape.gpus;
  }
  std::vector<Size> sizes;
  for (const auto& [size, sum] : sums) sizes.push_back({size.first, size.second, sum});
  std::stable_sort(sizes.begin(), sizes.end(), [](const Size& a, const Size& b) {
    return a.demand * (a.memory + a.cores) > b.demand * (b.memory + b.cores);
  });
  if (sizes.size() > most) sizes.resize(most);
  return sizes;
}

/// An unbounded knapsack over one or two dimensions: the dearest set for every rest of a GPU.
class Knapsack {
 public:
  Knapsack(const std::vector<Size>& sizes, bool one_dimension)
      : sizes_(sizes),
        rows_(one_dimension ? 1 : 101),
        best_(static_cast<std::size_t>(rows_) * 101) {}

  void Solve(const std::vector<double>& prices) {
    std::fill(best_.begin(), best_.end(), 0.0);
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      if (prices[i] <= kTolerance) continue;
      const int down = rows_ == 1 ? 0 : sizes_[i].memory;
      const int right = rows_ == 1 ? std::max(sizes_[i].memory, sizes_[i].cores) : sizes_[i].cores;
      for (int row = down; row < rows_; ++row) {
        double* to = &best_[static_cast<std::size_t>(row) * 101];
        const double* from = &best_[static_cast<std::size_t>(row - down) * 101];
        for (int column = right; column <= 100; ++column) {
          to[column] = std::max(to[column], from[column - right] + prices[i]);
        }
      }
    }
  }

  double whole() const { return best_.back(); }
  const std::vector<double>& best() const { return best_; }

  /// How often each size is in the dearest set for a whole GPU, after Solve(prices).
  std::vector<double> Pattern(const std::vector<double>& prices) const {
    std::vector<double> pattern(sizes_.size(), 0.0);
    int row = rows_ - 1;
    int column = 100;
    for (bool found = true; found;) {
      found = false;
      for (std::size_t i = 0; i < sizes_.size() && !found; ++i) {
        const int down = rows_ == 1 ? 0 : sizes_[i].memory;
        const int right =
            rows_ == 1 ? std::max(sizes_[i].memory, sizes_[i].cores) : sizes_[i].cores;
        if (prices[i] <= kTolerance || down > row || right > column) continue;
        if (At(row - down, column - right) + prices[i] < At(row, column) - kTolerance) continue;
        pattern[i] += 1;
        row -= down;
        column -= right;
        found = true;
      }
    }
    return pattern;
  }

 private:
  double At(int row, int column) const {
    return best_[static_cast<std::size_t>(row) * 101 + static_cast<std::size_t>(column)];
  }

  const std::vector<Size>& sizes_;
  int rows_;
  std::vector<double> best_;
};

/// The basis of the linear program: its inverse, the amounts of its columns and the prices.
class Basis {
 public:
  explicit Basis(const std::vector<Size>& sizes)
      : n_(sizes.size()), inverse_(n_ * n_), amounts_(n_) {
    for (std::size_t i = 0; i < n_; ++i) {
      const int copies = 100 / std::max(sizes[i].memory, sizes[i].cores);
      inverse_[i * n_ + i] = 1.0 / copies;
      amounts_[i] = sizes[i].demand / copies;
    }
  }

  /// Every column costs one GPU, so the prices are the sums of the inverse's columns.
  std::vector<double> Prices() const {
    std::vector<double> prices(n_, 0.0);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) prices[j] += inverse_[i * n_ + j];
    }
    return prices;
  }

  /// Brings a column in. False: it would not change anything.
  bool Enter(const std::vector<double>& pattern) {
    std::vector<double> column(n_, 0.0);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) column[i] += inverse_[i * n_ + j] * pattern[j];
    }
    std::size_t leaving = n_;
    for (std::size_t i = 0; i < n_; ++i) {
      if (column[i] <= kTolerance) continue;
      if (leaving == n_ || amounts_[i] / column[i] < amounts_[leaving] / column[leaving])
        leaving = i;
    }
    if (leaving == n_) return false;
    Pivot(leaving, column);
    return true;
  }

 private:
  void Pivot(std::size_t leaving, const std::vector<double>& column) {
    double* pivot = &inverse_[leaving * n_];
    for (std::size_t j = 0; j < n_; ++j) pivot[j] /= column[leaving];
    amounts_[leaving] /= column[leaving];
    for (std::size_t i = 0; i < n_; ++i) {
      if (i == leaving || column[i] == 0) continue;
      double* row = &inverse_[i * n_];
      for (std::size_t j = 0; j < n_; ++j) row[j] -= column[i] * pivot[j];
      amounts_[i] = std::max(0.0, amounts_[i] - column[i] * amounts_[leaving]);
    }
  }

  std::size_t n_;
  std::vector<double> inverse_;  ///< n × n, row by row
  std::vector<double> amounts_;
};

/// A multiple of 2^-40: sums are exact, so they do not depend on the order of the GPUs.
double OnGrid(double worth) { return std::ldexp(std::round(std::ldexp(worth, 40)), -40); }

}  // namespace

RestWorth::RestWorth(const Demand& demand) {
  const std::vector<Size> sizes = SizesOf(demand, kMaxSizes);
  one_dimension_ = std::all_of(sizes.begin(), sizes.end(),
                               [](const Size& size) { return size.memory == size.cores; });
  if (sizes.empty()) {
    for (std::size_t i = 0; i < kCells; ++i) worth_.push_back(OnGrid(static_cast<double>(i) / 100));
    return;
  }
  Knapsack knapsack(sizes, one_dimension_);
  Basis basis(sizes);
  std::vector<double> prices = basis.Prices();
  knapsack.Solve(prices);
  for (int i = 0; i < kMaxColumns && knapsack.whole() > 1 + kTolerance; ++i) {
    if (!basis.Enter(knapsack.Pattern(prices))) break;
    prices = basis.Prices();
    knapsack.Solve(prices);
  }
  worth_ = knapsack.best();
  const double whole = knapsack.whole();
  for (double& worth : worth_) worth = OnGrid(worth / whole);
}

}  // namespace tessera::binpack
