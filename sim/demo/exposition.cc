#include "sim/demo/exposition.h"

#include <algorithm>
#include <cstdlib>

namespace tessera::sim {
namespace {

/// Reads {a="b",…} and moves `text` behind it. False if it is malformed.
bool TakeLabels(std::string_view& text, std::map<std::string, std::string>& labels) {
  text.remove_prefix(1);
  while (!text.empty() && text.front() != '}') {
    const std::size_t equals = text.find("=\"");
    if (equals == std::string_view::npos) return false;
    const std::string name(text.substr(0, equals));
    text.remove_prefix(equals + 2);
    std::string value;
    while (!text.empty() && text.front() != '"') {
      if (text.front() == '\\' && text.size() > 1) {
        text.remove_prefix(1);
        value += text.front() == 'n' ? '\n' : text.front();
      } else {
        value += text.front();
      }
      text.remove_prefix(1);
    }
    if (text.empty()) return false;
    labels[name] = value;
    text.remove_prefix(1);
    if (text.starts_with(',')) text.remove_prefix(1);
  }
  if (text.empty()) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<Sample> ParseLine(std::string_view line) {
  Sample sample;
  const std::size_t end = line.find_first_of("{ ");
  if (line.starts_with('#') || end == std::string_view::npos || end == 0) return std::nullopt;
  sample.name = line.substr(0, end);
  line.remove_prefix(end);
  if (line.front() == '{' && !TakeLabels(line, sample.labels)) return std::nullopt;
  const std::string number(line);
  char* rest = nullptr;
  sample.value = std::strtod(number.c_str(), &rest);
  if (rest == number.c_str()) return std::nullopt;
  return sample;
}

}  // namespace

std::vector<Sample> ParseExposition(std::string_view text) {
  std::vector<Sample> samples;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (auto sample = ParseLine(text.substr(0, end))) samples.push_back(*std::move(sample));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return samples;
}

std::optional<double> FindSample(const std::vector<Sample>& samples, std::string_view name,
                                 const std::map<std::string, std::string>& labels) {
  for (const Sample& sample : samples) {
    if (sample.name != name) continue;
    const bool matches = std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
      const auto found = sample.labels.find(label.first);
      return found != sample.labels.end() && found->second == label.second;
    });
    if (matches) return sample.value;
  }
  return std::nullopt;
}

}  // namespace tessera::sim
