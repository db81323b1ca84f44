#pragma once

#include <utility>

#include <rapidjson/document.h>

#include "common/json/json.h"

/// Small edits of JSON objects.
namespace tessera::sim {

/// Null if `object` is none or lacks the member; unlike json::Find, a null is found.
inline rapidjson::Value* Member(rapidjson::Value& object, const char* name) {
  if (!object.IsObject()) return nullptr;
  const auto found = object.FindMember(name);
  return found == object.MemberEnd() ? nullptr : &found->value;
}

/// The object at `name`, made anew if it is missing or something else.
inline rapidjson::Value& ObjectAt(rapidjson::Value& parent, const char* name,
                                  rapidjson::Document::AllocatorType& allocator) {
  rapidjson::Value* found = Member(parent, name);
  if (found == nullptr) {
    parent.AddMember(rapidjson::Value(name, allocator), rapidjson::Value(rapidjson::kObjectType),
                     allocator);
    found = Member(parent, name);
  }
  if (!found->IsObject()) found->SetObject();
  return *found;
}

inline void Set(rapidjson::Value& parent, const char* name, rapidjson::Value value,
                rapidjson::Document::AllocatorType& allocator) {
  if (rapidjson::Value* found = Member(parent, name)) {
    *found = std::move(value);
  } else {
    parent.AddMember(rapidjson::Value(name, allocator), value, allocator);
  }
}

inline void SetDefault(rapidjson::Value& parent, const char* name, rapidjson::Value value,
                       rapidjson::Document::AllocatorType& allocator) {
  if (json::Find(parent, name) == nullptr) Set(parent, name, std::move(value), allocator);
}

}  // namespace tessera::sim
