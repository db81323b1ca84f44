#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// Structured logs of the servers: a constant message plus key=value pairs, to stderr.
/// The interceptor does not use this (see interceptor/trace.h).
namespace tessera::log {

enum class Format { kText, kJson };
enum class Level { kDebug, kInfo, kWarn, kError };

/// One key=value pair. Any string, integer, floating point number or bool is a value.
class Field {
 public:
  Field(std::string_view key, std::string_view value) : key_(key), value_(value), quoted_(true) {}
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  Field(std::string_view key, T value) : key_(key), value_(Text(value)), quoted_(false) {}

  const std::string& key() const { return key_; }
  const std::string& value() const { return value_; }
  /// True for text, which JSON writes in quotes.
  bool quoted() const { return quoted_; }

 private:
  template <typename T>
  static std::string Text(T value) {
    if constexpr (std::is_same_v<T, bool>) {
      return value ? "true" : "false";
    } else {
      return std::to_string(value);
    }
  }

  std::string key_;
  std::string value_;
  bool quoted_;
};

using Fields = std::initializer_list<Field>;

/// Call once, before threads start. `component` stands in every line. Default: text, info.
void Configure(std::string_view component, Format format, Level level);

void Debug(std::string_view message, Fields fields = {});  ///< per request
void Info(std::string_view message, Fields fields = {});   ///< state changes only
void Warn(std::string_view message, Fields fields = {});   ///< we coped, oddly
void Error(std::string_view message, Fields fields = {});  ///< someone must act

/// One line without time and level, as Configure'd format asks for; for tests and for the logger
/// itself.
std::string FormatLine(Format format, std::string_view message, Fields fields);

}  // namespace tessera::log
