#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "common/base/result.h"

/// What the records' decoders share. Every error names the member.
namespace tessera::contract {

/// An integer member in [least, most].
Result<std::int64_t> GetIntIn(const rapidjson::Value& object, std::string_view name,
                              std::int64_t least, std::int64_t most);
/// The member "uuid": 1 to 128 characters, none of which is space, control, comma or colon, because
/// uuids stand in the devices and limits texts.
Result<std::string> GetUuid(const rapidjson::Value& object);
/// Checks the member "version".
Result<void> RequireVersion(const rapidjson::Value& document, std::int64_t version);
/// "gpus[2]." before the message, so that it names the whole path.
tl::unexpected<Error> InPath(Error error, std::string_view array, std::size_t index);

}  // namespace tessera::contract
