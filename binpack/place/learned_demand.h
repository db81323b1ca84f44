#pragma once

#include <map>
#include <string>
#include <string_view>

#include "binpack/place/demand.h"
#include "common/base/result.h"

namespace tessera::binpack {

/// The demand as far as it has been seen: for each shape an exponentially weighted count of its
/// arrivals. Of more than kMaxShapes shapes the lightest is forgotten. One thread only.
class LearnedDemand {
 public:
  static constexpr std::size_t kMaxShapes = 256;
  /// What each arrival leaves of the counts before it; half is forgotten after 6 900 arrivals.
  static constexpr double kDecay = 0.9999;

  explicit LearnedDemand(double decay = kDecay) : decay_(decay) {}

  void Observe(const PodShape& shape);
  Demand demand() const;
  std::size_t shapes() const { return weights_.size(); }

  /// Text for a restart: a line that names the format, then one line for each shape: CPU in
  /// thousandths, GPUs, memory and cores of each in thousandths, models as a bit mask, weight.
  std::string Save() const;
  /// Errors name the line. What was learned before stays if the text is wrong.
  Result<void> Restore(std::string_view text);

 private:
  void Rescale();

  double decay_;
  double step_ = 1;  ///< weight of the next arrival; grows instead of all counts shrinking
  std::map<PodShape, double> weights_;
};

}  // namespace tessera::binpack
