#include "agent/mps/control.h"

#include <map>
#include <sstream>

#include "agent/mps/process.h"
#include "common/contract/names.h"

namespace tessera::agent::mps {
namespace {

/// What the program says, also with status 0, where there is no daemon.
constexpr const char* kNoDaemon = "Cannot find MPS control daemon";
constexpr const char* kFault = "FAULT";

std::string FirstLine(const std::string& text) {
  const std::string line = text.substr(0, text.find('\n'));
  return line.empty() ? "no word from it" : line;
}

}  // namespace

std::vector<std::string> ListedPids(const std::string& text) {
  std::vector<std::string> pids;
  std::istringstream words(text);
  for (std::string line; std::getline(words, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    const bool is_pid = !line.empty() && line.find_first_not_of("0123456789") == std::string::npos;
    if (is_pid) pids.push_back(line);
  }
  return pids;
}

Control::Control(std::string program, std::vector<std::string> arguments, const Layout& layout,
                 std::chrono::milliseconds patience)
    : program_(std::move(program)),
      arguments_(std::move(arguments)),
      layout_(layout),
      patience_(patience) {}

std::string Control::Start(const std::string& uuid) const {
  std::vector<std::string> command = {program_, "-d"};
  command.insert(command.end(), arguments_.begin(), arguments_.end());
  const auto done = RunProgram(command,
                               {{"CUDA_VISIBLE_DEVICES", uuid},
                                {names::kEnvMpsPipe, layout_.Pipe(uuid)},
                                {names::kEnvMpsLog, layout_.Log(uuid)}},
                               "", patience_);
  if (!done) return program_ + " cannot be run, or does not end";
  return done->status == 0 ? "" : FirstLine(done->text);
}

Control::Answer Control::Say(const std::string& uuid, const std::string& command) const {
  const auto done =
      RunProgram({program_}, {{names::kEnvMpsPipe, layout_.Pipe(uuid)}}, command + "\n", patience_);
  if (!done) return {.text = program_ + " cannot be run, or does not end"};
  const bool found = done->text.find(kNoDaemon) == std::string::npos;
  return {.ok = done->status == 0 && found, .text = done->text};
}

std::string Control::Quit(const std::string& uuid) const {
  const Answer answer = Say(uuid, "quit");
  return answer.ok ? "" : FirstLine(answer.text);
}

Observation Control::Ask(const std::string& uuid) const {
  const Answer list = Say(uuid, "get_server_list");
  if (!list.ok) return {};
  Observation seen{.answers = true};
  for (const std::string& server : ListedPids(list.text)) {
    ++seen.servers;
    // Drivers that do not know this command have no such state.
    const Answer status = Say(uuid, "get_server_status " + server);
    seen.fault = seen.fault || status.text.find(kFault) != std::string::npos;
    const Answer clients = Say(uuid, "get_client_list " + server);
    // A daemon that stops answering in between is not one without clients.
    if (!clients.ok) return {};
    seen.clients += static_cast<int>(ListedPids(clients.text).size());
  }
  return seen;
}

}  // namespace tessera::agent::mps
