#include "common/contract/fields.h"

#include <algorithm>

#include "common/json/json.h"

namespace tessera::contract {
namespace {

constexpr std::size_t kMaxUuidLength = 128;

}  // namespace

Result<std::int64_t> GetIntIn(const rapidjson::Value& object, std::string_view name,
                              std::int64_t least, std::int64_t most) {
  TESSERA_TRY(const auto value, json::GetInt(object, name));
  if (value < least || value > most) {
    return Fail(Errc::kInvalidArgument, std::string(name) + " must be an integer from " +
                                            std::to_string(least) + " to " + std::to_string(most) +
                                            ", not " + std::to_string(value));
  }
  return value;
}

Result<std::string> GetUuid(const rapidjson::Value& object) {
  TESSERA_TRY(auto uuid, json::GetString(object, "uuid"));
  const auto bad = [](unsigned char c) { return c <= ' ' || c > '~' || c == ',' || c == ':'; };
  if (uuid.empty() || uuid.size() > kMaxUuidLength || std::any_of(uuid.begin(), uuid.end(), bad)) {
    return Fail(Errc::kInvalidArgument,
                "uuid must be 1 to 128 printable characters without space, comma and colon");
  }
  return uuid;
}

Result<void> RequireVersion(const rapidjson::Value& document, std::int64_t version) {
  TESSERA_TRY(const auto found, json::GetInt(document, "version"));
  if (found == version) return {};
  return Fail(Errc::kInvalidArgument, "version " + std::to_string(found) +
                                          " is not known; this component reads version " +
                                          std::to_string(version));
}

tl::unexpected<Error> InPath(Error error, std::string_view array, std::size_t index) {
  const char* joint = error.message.starts_with("must be") ? " " : ".";
  error.message = std::string(array) + "[" + std::to_string(index) + "]" + joint + error.message;
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace tessera::contract
