#include "sim/demo/probe_report.h"

#include "common/json/json.h"

namespace tessera::sim {
namespace {

using rapidjson::Value;

Result<std::uint64_t> Count(const Value& object, const char* name) {
  TESSERA_TRY(const auto value, json::GetInt(object, name));
  if (value < 0) return Fail(Errc::kInvalidArgument, std::string(name) + " must not be negative");
  return static_cast<std::uint64_t>(value);
}

Result<ProbedGpu> ParseGpu(const Value& device) {
  ProbedGpu gpu;
  TESSERA_TRY(gpu.uuid, json::GetString(device, "uuid"));
  TESSERA_TRY(gpu.name, json::GetString(device, "name"));
  TESSERA_TRY(gpu.total_bytes, Count(device, "totalBytes"));
  TESSERA_TRY(gpu.free_before_bytes, Count(device, "freeBeforeBytes"));
  TESSERA_TRY(gpu.held_bytes, Count(device, "heldBytes"));
  TESSERA_TRY(gpu.free_after_bytes, Count(device, "freeAfterBytes"));
  TESSERA_TRY(gpu.refused_with, json::GetString(device, "refusedWith"));
  TESSERA_TRY(gpu.exact, json::GetBool(device, "exact"));
  TESSERA_TRY(gpu.reallocated, json::GetBool(device, "reallocated"));
  TESSERA_TRY(gpu.kernels, Count(device, "kernels"));
  TESSERA_TRY(gpu.kernel_us, Count(device, "kernelUs"));
  TESSERA_TRY(gpu.spin_wall_us, Count(device, "spinWallUs"));
  return gpu;
}

}  // namespace

Result<ProbeReport> ParseProbeReport(std::string_view line) {
  TESSERA_TRY(const auto document, json::Parse(line));
  ProbeReport report;
  TESSERA_TRY(report.ok, json::GetBool(document, "ok"));
  TESSERA_TRY(const Value* problems, json::GetArray(document, "problems"));
  for (const Value& problem : problems->GetArray()) {
    if (problem.IsString()) report.problems.emplace_back(json::View(problem));
  }
  TESSERA_TRY(const Value* devices, json::GetArray(document, "devices"));
  for (const Value& device : devices->GetArray()) {
    auto gpu = ParseGpu(device);
    if (!gpu) return Wrap(gpu.error(), "devices[" + std::to_string(report.gpus.size()) + "]");
    report.gpus.push_back(*std::move(gpu));
  }
  return report;
}

std::optional<std::string> FindProbeLine(std::string_view log) {
  while (!log.empty()) {
    const std::size_t end = log.find('\n');
    if (end == std::string_view::npos) return std::nullopt;  // a line that is still being written
    const std::string_view line = log.substr(0, end);
    if (line.starts_with("{\"probe\":")) return std::string(line);
    log.remove_prefix(end + 1);
  }
  return std::nullopt;
}

}  // namespace tessera::sim
