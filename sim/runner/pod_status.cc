#include "sim/runner/pod_status.h"

#include <ctime>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

using binpack::ContainerKind;

void WriteState(json::Writer& writer, const ContainerReport& report) {
  writer.StartObject();
  switch (report.view.state) {
    case ContainerState::kRunning:
      writer.Key("running");
      writer.StartObject();
      writer.Key("startedAt");
      writer.String(Rfc3339(report.started));
      writer.EndObject();
      break;
    case ContainerState::kEnded:
      writer.Key("terminated");
      writer.StartObject();
      writer.Key("exitCode");
      writer.Int(report.view.exit_code);
      writer.Key("reason");
      writer.String(!report.reason.empty()       ? report.reason
                    : report.view.exit_code == 0 ? "Completed"
                                                 : "Error");
      writer.Key("message");
      writer.String(report.message);
      writer.EndObject();
      break;
    case ContainerState::kWaiting:
    case ContainerState::kBackOff:
      writer.Key("waiting");
      writer.StartObject();
      writer.Key("reason");
      writer.String(report.reason.empty() ? "ContainerCreating" : report.reason);
      writer.Key("message");
      writer.String(report.message);
      writer.EndObject();
  }
  writer.EndObject();
}

void WriteStatuses(json::Writer& writer, const std::vector<NamedReport>& containers, bool init) {
  writer.StartArray();
  for (const NamedReport& c : containers) {
    if ((c.report.view.kind != ContainerKind::kApp) != init) continue;
    const bool running = c.report.view.state == ContainerState::kRunning;
    writer.StartObject();
    writer.Key("name");
    writer.String(c.name);
    writer.Key("image");
    writer.String(c.image);
    writer.Key("ready");
    writer.Bool(running);
    writer.Key("started");
    writer.Bool(running);
    writer.Key("restartCount");
    writer.Int(c.report.restarts);
    writer.Key("state");
    WriteState(writer, c.report);
    writer.EndObject();
  }
  writer.EndArray();
}

}  // namespace

std::string Rfc3339(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, size};
}

std::string StatusPatch(const std::string& phase, const std::string& message,
                        const std::vector<NamedReport>& containers) {
  json::Writer writer;
  writer.StartObject();
  writer.Key("status");
  writer.StartObject();
  writer.Key("phase");
  writer.String(phase);
  if (!message.empty()) {
    writer.Key("message");
    writer.String(message);
  }
  writer.Key("initContainerStatuses");
  WriteStatuses(writer, containers, true);
  writer.Key("containerStatuses");
  WriteStatuses(writer, containers, false);
  writer.EndObject();
  writer.EndObject();
  return writer.Take();
}

}  // namespace tessera::sim
