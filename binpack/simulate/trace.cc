#include "binpack/simulate/trace.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>

namespace tessera::binpack::simulate {
namespace {

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// A CSV file without quoting, read row by row.
class Table {
 public:
  explicit Table(std::string_view text) : rest_(text) {
    NextLine();
    for (const std::string_view name : cells_) names_.emplace_back(name);
  }

  /// False at the end. Blank lines are skipped.
  bool Next() {
    while (!rest_.empty()) {
      NextLine();
      if (cells_.size() > 1 || !cells_[0].empty()) return true;
    }
    return false;
  }

  std::optional<std::size_t> Column(std::string_view name) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - names_.begin());
  }

  Result<std::string_view> Text(std::string_view name) const {
    const auto column = Column(name);
    if (!column) return Fail("there is no column " + std::string(name));
    if (*column >= cells_.size()) return Fail("no value for " + std::string(name));
    return cells_[*column];
  }

  /// A whole number from 0 to `most`; a fraction of zero is taken, as spreadsheets write it.
  Result<int> Number(std::string_view name, int most) const {
    TESSERA_TRY(std::string_view text, Text(name));
    if (text.ends_with(".0")) text.remove_suffix(2);
    int value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > most) {
      return Fail(std::string(name) + " must be a whole number from 0 to " + std::to_string(most));
    }
    return value;
  }

  tl::unexpected<Error> Fail(const std::string& what) const {
    return tl::unexpected(
        Error{Errc::kInvalidArgument, "line " + std::to_string(line_) + ": " + what});
  }

 private:
  void NextLine() {
    const std::size_t end = rest_.find('\n');
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    cells_ = Split(line, ',');
    ++line_;
  }

  std::string_view rest_;
  std::vector<std::string> names_;
  std::vector<std::string_view> cells_;
  int line_ = 0;
};

constexpr int kMaxAmount = std::numeric_limits<std::int32_t>::max();

Result<std::int16_t> ModelNumber(const Table& table, Trace& trace, std::string_view name) {
  const auto found = std::find(trace.models.begin(), trace.models.end(), name);
  if (found == trace.models.end()) {
    if (trace.models.size() >= kMaxModels) return table.Fail("more than 64 GPU models");
    trace.models.emplace_back(name);
    return static_cast<std::int16_t>(trace.models.size() - 1);
  }
  return static_cast<std::int16_t>(found - trace.models.begin());
}

ModelSet ModelsOf(const Trace& trace, std::string_view spec) {
  if (spec.empty()) return kAnyModel;
  ModelSet set = 0;
  for (const std::string_view name : Split(spec, '|')) {
    const auto found = std::find(trace.models.begin(), trace.models.end(), name);
    if (found != trace.models.end()) set |= ModelSet{1} << (found - trace.models.begin());
  }
  return set;
}

Result<PodShape> ParsePod(const Table& table, const Trace& trace) {
  PodShape pod;
  TESSERA_TRY(pod.cpu_milli, table.Number("cpu_milli", kMaxAmount));
  TESSERA_TRY(pod.memory_mib, table.Number("memory_mib", kMaxAmount));
  TESSERA_TRY(const int gpus, table.Number("num_gpu", kMaxRoomGpus));
  if (gpus == 0) return pod;
  pod.gpus = static_cast<std::int16_t>(gpus);
  TESSERA_TRY(const int cores, table.Number("gpu_milli", kWholeShare));
  int memory = cores;
  if (table.Column("gpu_memory_milli")) {
    TESSERA_TRY(memory, table.Number("gpu_memory_milli", kWholeShare));
  }
  if (cores == 0 && memory == 0) return table.Fail("a pod with GPUs asks for nothing of them");
  pod.share = {static_cast<std::int16_t>(memory), static_cast<std::int16_t>(cores)};
  if (table.Column("gpu_spec")) {
    TESSERA_TRY(const std::string_view spec, table.Text("gpu_spec"));
    pod.models = ModelsOf(trace, spec);
  }
  return pod;
}

}  // namespace

Result<void> ParseNodes(std::string_view csv, Trace& trace) {
  Table table(csv);
  while (table.Next()) {
    NodeRoom node;
    TESSERA_TRY(const int gpus, table.Number("gpu", kMaxRoomGpus));
    TESSERA_TRY(node.cpu_milli, table.Number("cpu_milli", kMaxAmount));
    TESSERA_TRY(node.memory_mib, table.Number("memory_mib", kMaxAmount));
    node.cpu_capacity_milli = node.cpu_milli;
    node.memory_capacity_mib = node.memory_mib;
    if (gpus == 0) continue;
    TESSERA_TRY(const std::string_view model, table.Text("model"));
    TESSERA_TRY(node.model, ModelNumber(table, trace, model));
    node.gpus = static_cast<std::int16_t>(gpus);
    std::fill_n(node.rest.begin(), gpus, kWholeGpu);
    trace.nodes.push_back(node);
  }
  if (trace.nodes.empty()) return table.Fail("no node with a GPU");
  return {};
}

Result<void> ParsePods(std::string_view csv, Trace& trace) {
  Table table(csv);
  double gpus = 0;
  while (table.Next()) {
    TESSERA_TRY(const PodShape pod, ParsePod(table, trace));
    gpus += GpusOf(pod);
    trace.pods.push_back(pod);
  }
  if (gpus <= 0) return table.Fail("no pod asks for a GPU");
  return {};
}

Demand DemandOf(const std::vector<PodShape>& pods) {
  std::vector<TypicalPod> weighted;
  weighted.reserve(pods.size());
  for (const PodShape& pod : pods) weighted.push_back({pod, 1.0});
  return MakeDemand(weighted);
}

std::vector<PodShape> WithMemoryCorrelation(std::vector<PodShape> pods, double rho,
                                            std::uint64_t seed) {
  std::vector<std::size_t> sharing;
  for (std::size_t i = 0; i < pods.size(); ++i) {
    if (pods[i].gpus == 1 && pods[i].share.cores < kWholeShare) sharing.push_back(i);
  }
  // Two normal variables for each pod; the first orders it by cores, the second by memory.
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const double r =
      2 * std::sin(rho * 3.14159265358979323846 / 6);  // of the copula, from the ranks'
  std::vector<double> first(sharing.size());
  std::vector<double> second(sharing.size());
  for (std::size_t i = 0; i < sharing.size(); ++i) {
    first[i] = normal(random);
    second[i] = r * first[i] + std::sqrt(std::max(0.0, 1 - r * r)) * normal(random);
  }
  const auto order = [](const std::vector<double>& key) {
    std::vector<std::size_t> ranks(key.size());
    std::iota(ranks.begin(), ranks.end(), 0U);
    std::stable_sort(ranks.begin(), ranks.end(),
                     [&](std::size_t a, std::size_t b) { return key[a] < key[b]; });
    return ranks;
  };
  const auto by_first = order(first);
  const auto by_second = order(second);
  std::shuffle(sharing.begin(), sharing.end(), random);
  std::stable_sort(sharing.begin(), sharing.end(), [&](std::size_t a, std::size_t b) {
    return pods[a].share.cores < pods[b].share.cores;
  });
  std::vector<std::size_t> pod_of(sharing.size());  // the pod that draw i stands for
  for (std::size_t rank = 0; rank < sharing.size(); ++rank) pod_of[by_first[rank]] = sharing[rank];
  std::vector<std::int16_t> memory(sharing.size());
  for (std::size_t rank = 0; rank < sharing.size(); ++rank) {
    memory[by_second[rank]] = pods[sharing[rank]].share.cores;
  }
  for (std::size_t i = 0; i < sharing.size(); ++i) pods[pod_of[i]].share.memory = memory[i];
  return pods;
}

}  // namespace tessera::binpack::simulate
