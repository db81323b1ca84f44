#include "sim/scheduler/extender_client.h"

#include "sim/scheduler/wire.h"

namespace tessera::sim {

ExtenderClient::ExtenderClient(std::string base_url, std::chrono::milliseconds timeout)
    : base_url_(base_url),
      schedule_({.base_url = base_url,
                 .ca_file = {},
                 .cert_file = {},
                 .key_file = {},
                 .timeout = timeout}),
      bind_({.base_url = base_url,
             .ca_file = {},
             .cert_file = {},
             .key_file = {},
             .timeout = timeout}) {}

Result<std::string> ExtenderClient::Call(http::Client& client, const std::string& verb,
                                         const std::string& body) {
  TESSERA_TRY(auto answer, client.Post("/" + verb, body, {{"User-Agent", "Go-http-client/1.1"}}));
  if (answer.status == 200) return std::move(answer.body);
  return Fail(Errc::kUnavailable, "failed " + verb + " with extender at URL " + base_url_ + "/" +
                                      verb + ", code " + std::to_string(answer.status));
}

Result<FilterAnswer> ExtenderClient::Filter(const rapidjson::Value& pod,
                                            const std::vector<std::string>& nodes) {
  TESSERA_TRY(const auto text, Call(schedule_, "filter", wire::EncodeExtenderArgs(pod, nodes)));
  return wire::DecodeFilterResult(text);
}

Result<std::map<std::string, std::int64_t>> ExtenderClient::Prioritize(
    const rapidjson::Value& pod, const std::vector<std::string>& nodes) {
  TESSERA_TRY(const auto text, Call(schedule_, "prioritize", wire::EncodeExtenderArgs(pod, nodes)));
  return wire::DecodeHostPriorities(text);
}

Result<void> ExtenderClient::Bind(const BindingArgs& args) {
  TESSERA_TRY(const auto text, Call(bind_, "bind", wire::EncodeBindingArgs(args)));
  return wire::DecodeBindingResult(text);
}

}  // namespace tessera::sim
