#include "cli/simulate_mig.h"

#include <array>
#include <cstdio>

#include "common/json/json.h"

namespace tessera::cli {
namespace {

std::string Cell(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%12.3f", value);
  return text.data();
}

std::string Number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.5f", value);
  return text.data();
}

}  // namespace

std::vector<std::string> MigFamilyNames() {
  std::vector<std::string> names;
  for (const auto& family : binpack::mig::Families()) names.emplace_back(family.name);
  return names;
}

std::vector<MigRun> SimulateMig(const std::string& family,
                                const binpack::simulate::MigOptions& options, int seeds) {
  const binpack::mig::Family& found = *binpack::mig::FindFamily(family);
  const binpack::mig::StateTable table(found);
  std::vector<MigRun> runs;
  for (const std::string& policy : binpack::simulate::MigPolicyNames()) {
    for (int i = 0; i < seeds; ++i) {
      binpack::simulate::MigOptions one = options;
      one.policy = policy;
      one.seed = options.seed + static_cast<std::uint64_t>(i);
      runs.push_back({policy, one.seed, &found, MigChurn(table, one)});
    }
  }
  return runs;
}

std::string MigTable(const std::vector<MigRun>& runs) {
  if (runs.empty()) return "";
  const auto profiles = runs.front().family->profiles;
  std::string text = "POLICY          ACCEPTED";
  for (const auto& profile : profiles) {
    text += std::string(12 - std::min<std::size_t>(11, profile.name.size()), ' ');
    text += profile.name;
  }
  text += '\n';
  for (std::size_t first = 0; first < runs.size();) {
    std::vector<double> sums(profiles.size() + 1, 0);
    std::size_t end = first;
    for (; end < runs.size() && runs[end].policy == runs[first].policy; ++end) {
      sums[0] += runs[end].result.accepted;
      for (std::size_t p = 0; p < profiles.size(); ++p) {
        sums[p + 1] += runs[end].result.accepted_of_profile[p];
      }
    }
    std::string name = runs[first].policy;
    name.resize(12, ' ');
    text += name;
    for (const double sum : sums) text += Cell(sum / static_cast<double>(end - first));
    text += '\n';
    first = end;
  }
  return text;
}

std::string MigJson(const std::vector<MigRun>& runs) {
  std::string text;
  for (const MigRun& run : runs) {
    json::Writer writer;
    writer.StartObject();
    writer.Key("policy");
    writer.String(run.policy);
    writer.Key("seed");
    writer.Int(static_cast<std::int64_t>(run.seed));
    writer.Key("accepted");
    writer.Raw(Number(run.result.accepted));
    writer.Key("profiles");
    writer.StartObject();
    for (std::size_t p = 0; p < run.family->profiles.size(); ++p) {
      writer.Key(run.family->profiles[p].name);
      writer.Raw(Number(run.result.accepted_of_profile[p]));
    }
    writer.EndObject();
    writer.EndObject();
    text += writer.Take() + "\n";
  }
  return text;
}

}  // namespace tessera::cli
