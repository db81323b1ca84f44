#include "binpack/place/learned_demand.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <vector>

namespace tessera::binpack {
namespace {

constexpr std::string_view kHeader = "tessera-demand 1";
constexpr double kLargestStep = 1e12;

bool InRange(const PodShape& shape, double weight) {
  return shape.cpu_milli >= 0 && shape.gpus >= 0 && shape.gpus <= kMaxRoomGpus &&
         Within(Share{0, 0}, shape.share) && Within(shape.share, kWholeGpu) &&
         std::isfinite(weight) && weight > 0 && weight < 1e15;
}

}  // namespace

void LearnedDemand::Observe(const PodShape& shape) {
  PodShape key = shape;
  key.memory_mib = 0;
  weights_[key] += step_;
  step_ /= decay_;
  if (weights_.size() > kMaxShapes) {
    weights_.erase(
        std::min_element(weights_.begin(), weights_.end(), [&](const auto& a, const auto& b) {
          // The newcomer stays: it is the only one of which more is to be learned.
          return a.first != key && (b.first == key || a.second < b.second);
        }));
  }
  if (step_ > kLargestStep) Rescale();
}

void LearnedDemand::Rescale() {
  for (auto& [shape, weight] : weights_) weight /= step_;
  step_ = 1;
}

Demand LearnedDemand::demand() const {
  std::vector<TypicalPod> weighted;
  weighted.reserve(weights_.size());
  for (const auto& [shape, weight] : weights_) weighted.push_back({shape, weight});
  return MakeDemand(weighted);
}

std::string LearnedDemand::Save() const {
  std::ostringstream out;
  out.precision(17);
  out << kHeader << '\n';
  for (const auto& [shape, weight] : weights_) {
    out << shape.cpu_milli << ' ' << shape.gpus << ' ' << shape.share.memory << ' '
        << shape.share.cores << ' ' << shape.models << ' ' << weight / step_ << '\n';
  }
  return out.str();
}

Result<void> LearnedDemand::Restore(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string line;
  if (!std::getline(in, line) || line != kHeader) {
    return Fail(Errc::kInvalidArgument, "line 1: not a saved demand of version 1");
  }
  std::map<PodShape, double> read;
  for (int number = 2; std::getline(in, line); ++number) {
    std::istringstream fields(line);
    PodShape shape;
    double weight = 0;
    std::string more;
    const bool complete =
        static_cast<bool>(fields >> shape.cpu_milli >> shape.gpus >> shape.share.memory >>
                          shape.share.cores >> shape.models >> weight);
    if (!complete || fields >> more || !InRange(shape, weight) || read.size() >= kMaxShapes) {
      return Fail(Errc::kInvalidArgument, "line " + std::to_string(number) + ": not a shape");
    }
    read[shape] += weight;
  }
  weights_ = std::move(read);
  step_ = 1;
  return {};
}

}  // namespace tessera::binpack
