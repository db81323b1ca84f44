#include "common/kube/answer.h"

#include <utility>

#include "common/json/json.h"

namespace tessera::kube {
namespace {

constexpr std::size_t kMaxQuoted = 300;

Errc CodeOf(int status) {
  switch (status) {
    case 404:
      return Errc::kNotFound;
    case 409:
      return Errc::kConflict;
    case 410:
      return Errc::kGone;
    case 429:
      return Errc::kUnavailable;
    default:
      return status >= 500 ? Errc::kUnavailable : Errc::kInvalidArgument;
  }
}

/// "NotFound: pods \"x\" not found", or the beginning of a body that is no Status.
std::string Words(std::string_view body) {
  if (const auto status = json::Parse(body)) {
    const std::string reason = json::GetStringOr(*status, "reason", "").value_or("");
    const std::string message = json::GetStringOr(*status, "message", "").value_or("");
    if (!message.empty()) return reason.empty() ? message : reason + ": " + message;
    if (!reason.empty()) return reason;
  }
  std::string quoted(body.substr(0, kMaxQuoted));
  while (!quoted.empty() && (quoted.back() == '\n' || quoted.back() == ' ')) quoted.pop_back();
  return quoted;
}

}  // namespace

Error AnswerError(const std::string& what, int status, std::string_view body) {
  const std::string words = Words(body);
  return {CodeOf(status),
          what + ": " + std::to_string(status) + (words.empty() ? "" : " " + words)};
}

Result<WatchEvent> ParseWatchEvent(std::string_view line) {
  TESSERA_TRY(auto document, json::Parse(line));
  TESSERA_TRY(std::string type, json::GetString(document, "type"));
  TESSERA_TRY(const rapidjson::Value* object, json::GetObject(document, "object"));
  if (type == "ERROR") {
    const auto code = json::GetIntOr(*object, "code", 500).value_or(500);
    const std::string words =
        "watch: " + json::GetStringOr(*object, "message", "no message").value_or("");
    return Fail(code == 410 ? Errc::kGone : Errc::kUnavailable, words);
  }
  // The event's memory stays with the document; only its root moves.
  rapidjson::Value root;
  root.Swap(document.FindMember("object")->value);
  WatchEvent event{.type = std::move(type), .object = std::move(document)};
  static_cast<rapidjson::Value&>(event.object).Swap(root);
  return event;
}

std::string AddQuery(const std::string& path, std::string_view name, std::string_view value) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  static constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out = path;
  out += path.find('?') == std::string::npos ? '?' : '&';
  out += name;
  out += '=';
  for (const char c : value) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

}  // namespace tessera::kube
