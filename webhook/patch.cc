#include "webhook/patch.h"

#include "common/json/json.h"

namespace tessera::webhook {

std::string EscapeToken(std::string_view token) {
  std::string escaped;
  escaped.reserve(token.size());
  for (const char c : token) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Pointer(std::initializer_list<std::string_view> tokens) {
  std::string pointer;
  for (const std::string_view token : tokens) pointer.append("/").append(EscapeToken(token));
  return pointer;
}

std::string EncodePatch(const Patch& patch) {
  json::Writer writer;
  writer.StartArray();
  for (const Operation& operation : patch) {
    writer.StartObject();
    writer.Key("op");
    writer.String(operation.op);
    writer.Key("path");
    writer.String(operation.path);
    if (!operation.value.empty()) {
      writer.Key("value");
      writer.Raw(operation.value);
    }
    writer.EndObject();
  }
  writer.EndArray();
  return writer.Take();
}

std::string Quote(std::string_view text) {
  json::Writer writer;
  writer.String(text);
  return writer.Take();
}

bool SameJson(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto left = json::Parse(a);
  const auto right = json::Parse(b);
  return left && right && *left == *right;
}

}  // namespace tessera::webhook
