#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "common/base/result.h"

/// The only RapidJSON helpers. All are total: a wrong shape is an Error that names the member,
/// never an assertion. `operator[]` on a RapidJSON value is banned: it asserts on a missing key.
namespace tessera::json {

/// Deepest nesting that Parse accepts. A pod needs about 15.
inline constexpr int kMaxDepth = 64;

/// Parses a whole text. Iterative, so nesting never eats the stack. Errors: kInvalidArgument with
/// the offset and the reason.
Result<rapidjson::Document> Parse(std::string_view text);

/// The member, or null if `object` is not an object, lacks it, or holds null there.
const rapidjson::Value* Find(const rapidjson::Value& object, std::string_view name);
/// Find along a path: FindPath(pod, {"spec", "containers"}).
const rapidjson::Value* FindPath(const rapidjson::Value& object,
                                 std::initializer_list<std::string_view> path);

/// Required members. Errors: "NAME is missing", "NAME must be a string".
Result<std::string> GetString(const rapidjson::Value& object, std::string_view name);
Result<std::int64_t> GetInt(const rapidjson::Value& object, std::string_view name);
Result<bool> GetBool(const rapidjson::Value& object, std::string_view name);
Result<const rapidjson::Value*> GetObject(const rapidjson::Value& object, std::string_view name);
Result<const rapidjson::Value*> GetArray(const rapidjson::Value& object, std::string_view name);

/// Optional members: the fallback if missing or null, an error if of another type.
Result<std::string> GetStringOr(const rapidjson::Value& object, std::string_view name,
                                std::string_view fallback);
Result<std::int64_t> GetIntOr(const rapidjson::Value& object, std::string_view name,
                              std::int64_t fallback);
Result<bool> GetBoolOr(const rapidjson::Value& object, std::string_view name, bool fallback);

/// The text of a JSON string value, without a copy. REQUIRES: value.IsString().
std::string_view View(const rapidjson::Value& value);

/// Text of a value: compact, members in the order they have.
std::string Dump(const rapidjson::Value& value);

/// A value holding a copy of `text`.
rapidjson::Value String(std::string_view text, rapidjson::Document::AllocatorType& allocator);

/// Writes JSON text piece by piece; a thin name for RapidJSON's writer.
class Writer {
 public:
  Writer() : writer_(buffer_) {}
  void StartObject() { writer_.StartObject(); }
  void EndObject() { writer_.EndObject(); }
  void StartArray() { writer_.StartArray(); }
  void EndArray() { writer_.EndArray(); }
  void Key(std::string_view text) { writer_.Key(text.data(), Size(text)); }
  void String(std::string_view text) { writer_.String(text.data(), Size(text)); }
  void Int(std::int64_t value) { writer_.Int64(value); }
  void Bool(bool value) { writer_.Bool(value); }
  void Null() { writer_.Null(); }
  /// A part that is JSON text already.
  void Raw(std::string_view json) {
    writer_.RawValue(json.data(), json.size(), rapidjson::kObjectType);
  }
  void Value(const rapidjson::Value& value) { value.Accept(writer_); }
  std::string Take() const { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  static rapidjson::SizeType Size(std::string_view text) {
    return static_cast<rapidjson::SizeType>(text.size());
  }
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_;
};

}  // namespace tessera::json
