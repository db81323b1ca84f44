#include "common/base/log.h"

#include <memory>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace tessera::log {
namespace {

Format g_format = Format::kText;

std::shared_ptr<spdlog::logger> Logger() {
  static const auto logger = [] {
    auto made = std::make_shared<spdlog::logger>("tessera",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%L%m%d %H:%M:%S.%f %v");
    return made;
  }();
  return logger;
}

std::string Escape(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size() + 2);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

void Write(spdlog::level::level_enum level, std::string_view message, Fields fields) {
  if (!Logger()->should_log(level)) return;
  Logger()->log(level, spdlog::string_view_t(FormatLine(g_format, message, fields)));
}

}  // namespace

void Configure(std::string_view component, Format format, Level level) {
  g_format = format;
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                          spdlog::level::warn, spdlog::level::err};
  Logger()->set_level(kLevels[static_cast<int>(level)]);
  Logger()->flush_on(spdlog::level::info);
  const std::string name(component);
  Logger()->set_pattern(format == Format::kJson
                            ? R"({"ts":%E.%e,"level":"%l","component":")" + name + R"(",%v})"
                            : "%L%m%d %H:%M:%S.%f " + name + "] %v");
}

std::string FormatLine(Format format, std::string_view message, Fields fields) {
  const bool json = format == Format::kJson;
  std::string out = (json ? "\"msg\":\"" : "\"") + Escape(message) + "\"";
  for (const Field& field : fields) {
    out += json ? ",\"" + Escape(field.key()) + "\":" : " " + field.key() + "=";
    out += field.quoted() ? "\"" + Escape(field.value()) + "\"" : field.value();
  }
  return out;
}

void Debug(std::string_view message, Fields fields) {
  Write(spdlog::level::debug, message, fields);
}
void Info(std::string_view message, Fields fields) { Write(spdlog::level::info, message, fields); }
void Warn(std::string_view message, Fields fields) { Write(spdlog::level::warn, message, fields); }
void Error(std::string_view message, Fields fields) { Write(spdlog::level::err, message, fields); }

}  // namespace tessera::log
