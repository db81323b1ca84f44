#include "sim/demo/yaml_config.h"

#include <charconv>
#include <cstdint>
#include <optional>

#include <yaml-cpp/yaml.h>

#include "common/json/json.h"

namespace tessera::sim {
namespace {

constexpr int kDeepest = 60;

template <typename T>
std::optional<T> Number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The words that YAML 1.1 reads as booleans and Kubernetes' YAML reader does too.
std::optional<bool> Boolean(std::string_view text) {
  for (const std::string_view word :
       {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}) {
    if (text == word) return true;
  }
  for (const std::string_view word :
       {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

/// True for what JSON calls a number: "1.5", "1e3"; not "0x10", "nan" or "1.".
bool LooksLikeDecimal(std::string_view text) {
  return text.find_first_not_of("+-0123456789.eE") == std::string_view::npos &&
         text.find_first_of("0123456789") != std::string_view::npos && !text.ends_with('.');
}

std::string Shortest(double value) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return error == std::errc() ? std::string(text, end) : "0";
}

void WriteScalar(json::Writer& writer, const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return writer.String(text);  // quoted
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return writer.Null();
  }
  if (const auto boolean = Boolean(text)) return writer.Bool(*boolean);
  if (const auto integer = Number<std::int64_t>(text)) return writer.Int(*integer);
  const auto decimal = LooksLikeDecimal(text) ? Number<double>(text) : std::nullopt;
  if (decimal) return writer.Raw(Shortest(*decimal));
  writer.String(text);
}

Result<void> Write(json::Writer& writer, const YAML::Node& node, int depth) {
  if (depth > kDeepest) return Fail(Errc::kInvalidArgument, "YAML is nested too deeply");
  if (node.IsScalar()) {
    WriteScalar(writer, node);
  } else if (node.IsSequence()) {
    writer.StartArray();
    for (const auto& item : node) {
      if (auto done = Write(writer, item, depth + 1); !done) return done;
    }
    writer.EndArray();
  } else if (node.IsMap()) {
    writer.StartObject();
    for (const auto& member : node) {
      if (!member.first.IsScalar()) {
        return Fail(Errc::kInvalidArgument, "line " + std::to_string(member.first.Mark().line + 1) +
                                                ": a key must be a text");
      }
      writer.Key(member.first.Scalar());
      if (auto done = Write(writer, member.second, depth + 1); !done) return done;
    }
    writer.EndObject();
  } else {
    writer.Null();
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> YamlToJson(std::string_view yaml) {
  std::vector<std::string> out;
  try {
    for (const YAML::Node& document : YAML::LoadAll(std::string(yaml))) {
      if (!document.IsDefined() || document.IsNull()) continue;
      json::Writer writer;
      if (auto done = Write(writer, document, 0); !done) return tl::make_unexpected(done.error());
      out.push_back(writer.Take());
    }
  } catch (const YAML::Exception& error) {
    return Fail(Errc::kInvalidArgument,
                "line " + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
  return out;
}

}  // namespace tessera::sim
