#include "common/json/json.h"

#include <algorithm>
#include <limits>

#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

namespace tessera::json {
namespace {

using rapidjson::Document;
using rapidjson::Value;

Error Missing(std::string_view name) {
  return {Errc::kInvalidArgument, std::string(name) + " is missing"};
}

Error WrongType(std::string_view name, std::string_view wanted) {
  return {Errc::kInvalidArgument, std::string(name) + " must be " + std::string(wanted)};
}

/// Exponents of more digits than any number needs: the reader's sums of exponents would overflow.
constexpr std::size_t kMaxExponentDigits = 8;

/// True if `text` begins with an exponent ("e-400", "E7") that is too long.
bool HugeExponent(std::string_view text) {
  if (text[0] != 'e' && text[0] != 'E') return false;
  text.remove_prefix(1);
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  return end > kMaxExponentDigits;
}

/// Checks what the reader cannot take, before the document is built and without recursion.
Result<void> CheckBounds(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (HugeExponent(text.substr(i))) {
      return Fail(Errc::kInvalidArgument,
                  "not JSON at byte " + std::to_string(i) + ": exponent is too long");
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > kMaxDepth) {
      return Fail(Errc::kInvalidArgument,
                  "JSON is nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
  }
  return {};
}

template <typename T, typename Is, typename As>
Result<T> Get(const Value& object, std::string_view name, std::string_view wanted, Is is, As as) {
  const Value* found = Find(object, name);
  if (found == nullptr) return tl::make_unexpected(Missing(name));
  if (!is(*found)) return tl::make_unexpected(WrongType(name, wanted));
  return as(*found);
}

}  // namespace

Result<Document> Parse(std::string_view text) {
  if (const auto ok = CheckBounds(text); !ok) return tl::make_unexpected(ok.error());
  Document document;
  document.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag |
                 rapidjson::kParseFullPrecisionFlag>(text.data(), text.size());
  if (document.HasParseError()) {
    return Fail(Errc::kInvalidArgument, "not JSON at byte " +
                                            std::to_string(document.GetErrorOffset()) + ": " +
                                            rapidjson::GetParseError_En(document.GetParseError()));
  }
  return document;
}

const Value* Find(const Value& object, std::string_view name) {
  if (!object.IsObject()) return nullptr;
  const Value key(rapidjson::StringRef(name.data(), name.size()));
  const auto member = object.FindMember(key);
  if (member == object.MemberEnd() || member->value.IsNull()) return nullptr;
  return &member->value;
}

const Value* FindPath(const Value& object, std::initializer_list<std::string_view> path) {
  const Value* at = &object;
  for (const std::string_view name : path) {
    at = Find(*at, name);
    if (at == nullptr) return nullptr;
  }
  return at;
}

Result<std::string> GetString(const Value& object, std::string_view name) {
  return Get<std::string>(
      object, name, "a string", [](const Value& v) { return v.IsString(); },
      [](const Value& v) { return std::string(View(v)); });
}

Result<std::int64_t> GetInt(const Value& object, std::string_view name) {
  return Get<std::int64_t>(
      object, name, "an integer", [](const Value& v) { return v.IsInt64(); },
      [](const Value& v) { return v.GetInt64(); });
}

Result<bool> GetBool(const Value& object, std::string_view name) {
  return Get<bool>(
      object, name, "true or false", [](const Value& v) { return v.IsBool(); },
      [](const Value& v) { return v.GetBool(); });
}

Result<const Value*> GetObject(const Value& object, std::string_view name) {
  return Get<const Value*>(
      object, name, "an object", [](const Value& v) { return v.IsObject(); },
      [](const Value& v) { return &v; });
}

Result<const Value*> GetArray(const Value& object, std::string_view name) {
  return Get<const Value*>(
      object, name, "an array", [](const Value& v) { return v.IsArray(); },
      [](const Value& v) { return &v; });
}

Result<std::string> GetStringOr(const Value& object, std::string_view name,
                                std::string_view fallback) {
  if (Find(object, name) == nullptr) return std::string(fallback);
  return GetString(object, name);
}

Result<std::int64_t> GetIntOr(const Value& object, std::string_view name, std::int64_t fallback) {
  if (Find(object, name) == nullptr) return fallback;
  return GetInt(object, name);
}

Result<bool> GetBoolOr(const Value& object, std::string_view name, bool fallback) {
  if (Find(object, name) == nullptr) return fallback;
  return GetBool(object, name);
}

std::string_view View(const Value& value) { return {value.GetString(), value.GetStringLength()}; }

std::string Dump(const Value& value) {
  Writer writer;
  writer.Value(value);
  return writer.Take();
}

Value String(std::string_view text, Document::AllocatorType& allocator) {
  return Value(text.data(), static_cast<rapidjson::SizeType>(text.size()), allocator);
}

}  // namespace tessera::json
