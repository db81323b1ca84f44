#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>

#include "cli/simulate.h"

namespace tessera::cli {
namespace {

constexpr double kWidth = 760, kHeight = 460, kLeft = 64, kRight = 132, kTop = 24, kBottom = 52;
constexpr std::array kColours{"#8c8c8c", "#4878a8", "#c47f2c", "#7d5ba6", "#2e8b57", "#b5443c"};

struct Curve {
  std::string policy;
  std::vector<std::pair<double, double>> points;  ///< arrived load, allocated part
};

std::vector<Curve> CurvesOf(const std::vector<SimulatedRun>& runs) {
  std::vector<Curve> curves;
  std::map<std::string, std::map<double, std::pair<double, int>>> sums;
  for (const SimulatedRun& run : runs) {
    if (sums.count(run.policy) == 0) curves.push_back({run.policy, {}});
    for (const auto& mark : run.result.marks) {
      auto& [sum, count] = sums[run.policy][mark.load];
      sum += mark.cores;
      ++count;
    }
  }
  for (Curve& curve : curves) {
    for (const auto& [load, sum] : sums[curve.policy]) {
      curve.points.emplace_back(load, sum.first / sum.second);
    }
  }
  return curves;
}

/// The picture's axes: from where the curves part (no run holds less) to their ends.
struct Axes {
  double x0 = 0, x1 = 1, y0 = 0, y1 = 1;

  double X(double load) const {
    return kLeft + (load - x0) / (x1 - x0) * (kWidth - kLeft - kRight);
  }
  double Y(double part) const {
    return kHeight - kBottom - (part - y0) / (y1 - y0) * (kHeight - kTop - kBottom);
  }
};

Axes AxesFor(const std::vector<Curve>& curves) {
  Axes axes;
  for (const Curve& curve : curves) axes.x1 = std::max(axes.x1, curve.points.back().first);
  axes.x0 = std::min(0.7, axes.x1 / 2);
  axes.y0 = std::min(0.65, axes.x0);
  for (const Curve& curve : curves) {
    for (const auto& [load, part] : curve.points) {
      if (load >= axes.x0) axes.y0 = std::min(axes.y0, part);
    }
  }
  axes.y0 = std::floor(axes.y0 * 20) / 20;
  return axes;
}

std::string Format(const char* format, auto... values) {
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

std::string Grid(const Axes& axes) {
  std::string svg;
  const double bottom = kHeight - kBottom;
  for (double part = axes.y0; part < axes.y1 + 1e-9; part += 0.05) {
    svg += Format("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>", kLeft,
                  axes.Y(part), kWidth - kRight, axes.Y(part));
    svg += Format("<text x='%.1f' y='%.1f' text-anchor='end'>%.0f %%</text>\n", kLeft - 6,
                  axes.Y(part) + 4, part * 100);
  }
  for (double load = std::ceil(axes.x0 * 10) / 10; load < axes.x1 + 1e-9; load += 0.1) {
    svg += Format("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#ddd'/>", axes.X(load),
                  kTop, axes.X(load), bottom);
    svg += Format("<text x='%.1f' y='%.1f' text-anchor='middle'>%.0f %%</text>\n", axes.X(load),
                  bottom + 18, load * 100);
  }
  svg += Format(
      "<text x='%.1f' y='%.1f' text-anchor='middle'>GPU demand that has arrived, of "
      "capacity</text>\n",
      (kLeft + kWidth - kRight) / 2, kHeight - 12);
  svg += Format(
      "<text x='16' y='%.1f' text-anchor='middle' transform='rotate(-90 16 %.1f)'>GPU allocated, "
      "of capacity</text>\n",
      kHeight / 2, kHeight / 2);
  return svg;
}

/// Heights for the labels at the right end, at least a line apart, in the order of the curves'
/// ends.
std::vector<double> LabelHeights(const std::vector<Curve>& curves, const Axes& axes) {
  constexpr double kLine = 15;
  std::vector<std::size_t> order(curves.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return curves[a].points.back().second > curves[b].points.back().second;
  });
  std::vector<double> heights(curves.size());
  double next = kTop;
  for (const std::size_t i : order) {
    heights[i] = std::max(next, axes.Y(curves[i].points.back().second));
    next = heights[i] + kLine;
  }
  return heights;
}

}  // namespace

std::string SimulationPlot(const std::vector<SimulatedRun>& runs) {
  const std::vector<Curve> curves = CurvesOf(runs);
  const Axes axes = AxesFor(curves);
  std::string svg = Format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' font-family='sans-serif' "
      "font-size='12'>\n<rect width='100%%' height='100%%' fill='white'/>\n",
      kWidth, kHeight);
  svg += Grid(axes);
  const std::vector<double> heights = LabelHeights(curves, axes);
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    svg += Format("<polyline fill='none' stroke-width='2' stroke='%s' points='", colour);
    for (const auto& [load, part] : curves[i].points) {
      if (load >= axes.x0 - 1e-9) svg += Format("%.1f,%.1f ", axes.X(load), axes.Y(part));
    }
    svg += "'/>\n";
    svg += Format("<text x='%.1f' y='%.1f' fill='%s'>%s %.1f %%</text>\n", kWidth - kRight + 8,
                  heights[i] + 4, colour, curves[i].policy.c_str(),
                  curves[i].points.back().second * 100);
  }
  return svg + "</svg>\n";
}

}  // namespace tessera::cli
