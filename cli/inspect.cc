#include "cli/inspect.h"

#include <algorithm>
#include <array>
#include <optional>

#include "binpack/reservation.h"
#include "common/contract/assignment.h"
#include "common/contract/inventory.h"
#include "common/contract/names.h"

namespace tessera::cli {
namespace {

using rapidjson::Value;

std::optional<std::string> Text(const Value& object, std::initializer_list<std::string_view> path) {
  const Value* found = json::FindPath(object, path);
  if (found == nullptr || !found->IsString()) return std::nullopt;
  return std::string(json::View(*found));
}

std::optional<NodeReport> ReadNode(const Value& node) {
  const auto name = Text(node, {"metadata", "name"});
  const auto text = Text(node, {"metadata", "annotations", names::kInventory});
  if (!name || !text) return std::nullopt;
  NodeReport report{.name = *name};
  const auto inventory = contract::DecodeInventory(*text);
  if (!inventory) {
    report.problem = "inventory: " + inventory.error().message;
    return report;
  }
  for (const auto& gpu : inventory->gpus)
    report.gpus.push_back({.info = {.device = gpu, .used = {}}});
  return report;
}

void AddPod(NodeReport& node, const std::string& pod, const contract::Assignment& assignment) {
  for (const auto& held :
       binpack::ReservationOf(assignment.placement, assignment.isolation).devices) {
    const auto gpu = std::find_if(node.gpus.begin(), node.gpus.end(), [&](const GpuReport& g) {
      return g.info.device.uuid == held.uuid;
    });
    if (gpu == node.gpus.end()) {
      node.problem = "pod " + pod + " holds GPU " + held.uuid + ", which the node does not have";
      continue;
    }
    gpu->info.used += held.amount;
    gpu->tenants.push_back({pod, held.amount});
  }
}

void ReadPod(const Value& pod, std::vector<NodeReport>& nodes) {
  const auto phase = Text(pod, {"status", "phase"});
  const auto text = Text(pod, {"metadata", "annotations", names::kAssignment});
  const auto on = Text(pod, {"spec", "nodeName"});
  if (!text || !on || phase == "Succeeded" || phase == "Failed") return;
  const auto node =
      std::find_if(nodes.begin(), nodes.end(), [&](const NodeReport& n) { return n.name == *on; });
  if (node == nodes.end()) return;
  const std::string key = Text(pod, {"metadata", "namespace"}).value_or("") + "/" +
                          Text(pod, {"metadata", "name"}).value_or("");
  const auto assignment = contract::DecodeAssignment(*text);
  if (assignment) {
    AddPod(*node, key, *assignment);
  } else {
    node->problem = "pod " + key + ": assignment: " + assignment.error().message;
  }
}

using Row = std::array<std::string, 6>;

std::string Tenants(const GpuReport& gpu) {
  std::string text;
  for (const Tenant& tenant : gpu.tenants) {
    text += (text.empty() ? "" : ", ") + tenant.pod + " (" +
            std::to_string(tenant.amount.memory_mib) + " MiB, " +
            std::to_string(tenant.amount.cores_percent) + " %)";
  }
  return text;
}

Row RowOf(const NodeReport& node, const GpuReport& gpu) {
  const auto& device = gpu.info.device;
  const auto part = [](std::int64_t used, std::int64_t total) {
    return std::to_string(used) + "/" + std::to_string(total);
  };
  return {node.name,
          std::to_string(device.index) + (device.healthy ? "" : " (unhealthy)"),
          device.model,
          part(gpu.info.used.memory_mib, device.memory_mib),
          part(gpu.info.used.cores_percent, device.cores_percent),
          Tenants(gpu)};
}

std::string Layout(const std::vector<Row>& rows) {
  std::array<std::size_t, 6> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

void WriteAmounts(json::Writer& writer, std::string_view key, std::int64_t used,
                  std::int64_t total) {
  writer.Key(key);
  writer.StartObject();
  writer.Key("used");
  writer.Int(used);
  writer.Key("total");
  writer.Int(total);
  writer.EndObject();
}

void WriteGpu(json::Writer& writer, const GpuReport& gpu) {
  const auto& device = gpu.info.device;
  writer.StartObject();
  writer.Key("uuid");
  writer.String(device.uuid);
  writer.Key("index");
  writer.Int(device.index);
  writer.Key("model");
  writer.String(device.model);
  writer.Key("healthy");
  writer.Bool(device.healthy);
  WriteAmounts(writer, "memoryMiB", gpu.info.used.memory_mib, device.memory_mib);
  WriteAmounts(writer, "cores", gpu.info.used.cores_percent, device.cores_percent);
  writer.Key("pods");
  writer.StartArray();
  for (const Tenant& tenant : gpu.tenants) {
    writer.StartObject();
    writer.Key("pod");
    writer.String(tenant.pod);
    writer.Key("memoryMiB");
    writer.Int(tenant.amount.memory_mib);
    writer.Key("cores");
    writer.Int(tenant.amount.cores_percent);
    writer.EndObject();
  }
  writer.EndArray();
  writer.EndObject();
}

}  // namespace

std::vector<NodeReport> Inspect(const Value& nodes, const Value& pods, std::string_view only) {
  std::vector<NodeReport> reports;
  if (nodes.IsArray()) {
    for (const Value& node : nodes.GetArray()) {
      auto report = ReadNode(node);
      if (report && (only.empty() || report->name == only)) reports.push_back(*std::move(report));
    }
  }
  std::sort(reports.begin(), reports.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  if (pods.IsArray()) {
    for (const Value& pod : pods.GetArray()) ReadPod(pod, reports);
  }
  return reports;
}

std::string Table(const std::vector<NodeReport>& nodes) {
  if (nodes.empty()) return "No node with GPUs.\n";
  std::vector<Row> rows = {{"NODE", "GPU", "MODEL", "MEMORY MiB", "CORES %", "PODS"}};
  std::string problems;
  for (const NodeReport& node : nodes) {
    for (const GpuReport& gpu : node.gpus) rows.push_back(RowOf(node, gpu));
    if (!node.problem.empty()) problems += "! " + node.name + ": " + node.problem + "\n";
  }
  return Layout(rows) + problems;
}

std::string Json(const std::vector<NodeReport>& nodes) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("nodes");
  writer.StartArray();
  for (const NodeReport& node : nodes) {
    writer.StartObject();
    writer.Key("name");
    writer.String(node.name);
    if (!node.problem.empty()) {
      writer.Key("problem");
      writer.String(node.problem);
    }
    writer.Key("gpus");
    writer.StartArray();
    for (const GpuReport& gpu : node.gpus) WriteGpu(writer, gpu);
    writer.EndArray();
    writer.EndObject();
  }
  writer.EndArray();
  writer.EndObject();
  return writer.Take() + "\n";
}

}  // namespace tessera::cli
