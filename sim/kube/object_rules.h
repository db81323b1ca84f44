#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "sim/kube/reply.h"
#include "sim/kube/resource.h"

/// What the API server does to objects when they are written. Pure: time and chance are arguments.
namespace tessera::sim {

using WallTime = std::chrono::system_clock::time_point;

/// "2026-11-22T13:05:00Z".
std::string Timestamp(WallTime time);

/// Sets a member of `metadata`, which is made if missing.
void SetMetadata(rapidjson::Document& object, const char* field, std::string_view value);
void RemoveMetadata(rapidjson::Document& object, const char* field);

/// Checks a new object and completes it: kind, namespace, name from generateName and `suffix`, and
/// for pods the status and the defaults that others rely on. Identity and version are the store's
/// part.
Reply<void> PrepareCreate(const Target& target, rapidjson::Document& object,
                          std::string_view suffix);

/// Checks `object`, which is to replace `old`, and restores what a client may not change: identity,
/// and status or everything else according to the subresource. 409 if it names another
/// resourceVersion than `old` has.
Reply<void> PrepareUpdate(const Target& target, const rapidjson::Value& old,
                          rapidjson::Document& object);

}  // namespace tessera::sim
