#include "tests/webhook/apply_patch.h"

#include <charconv>
#include <vector>

#include "common/json/json.h"

namespace tessera::webhook {
namespace {

using rapidjson::Value;

std::vector<std::string> SplitPointer(const std::string& pointer) {
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    const char c = pointer[i];
    if (c == '/') {
      tokens.emplace_back();
    } else if (c == '~' && i + 1 < pointer.size()) {
      tokens.back() += pointer[++i] == '1' ? '/' : '~';
    } else {
      tokens.back() += c;
    }
  }
  return tokens;
}

/// The index that `token` names in an array of `size`; -1 if it is none.
int ArrayIndex(const std::string& token, rapidjson::SizeType size) {
  int index = -1;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  const bool whole = error == std::errc() && end == token.data() + token.size();
  return whole && index >= 0 && index < static_cast<int>(size) ? index : -1;
}

Value* Child(Value& parent, const std::string& token) {
  if (parent.IsObject()) {
    const auto member = parent.FindMember(token.c_str());
    return member == parent.MemberEnd() ? nullptr : &member->value;
  }
  if (!parent.IsArray()) return nullptr;
  const int index = ArrayIndex(token, parent.Size());
  return index < 0 ? nullptr : &parent[static_cast<rapidjson::SizeType>(index)];
}

bool Remove(Value& parent, const std::string& token) {
  if (Child(parent, token) == nullptr) return false;
  if (parent.IsObject()) return parent.RemoveMember(token.c_str());
  parent.Erase(parent.Begin() + ArrayIndex(token, parent.Size()));
  return true;
}

bool Add(Value& parent, const std::string& token, Value value,
         rapidjson::Document::AllocatorType& allocator) {
  if (parent.IsObject()) {
    parent.RemoveMember(token.c_str());
    parent.AddMember(json::String(token, allocator), value, allocator);
    return true;
  }
  if (!parent.IsArray()) return false;
  const auto size = parent.Size();
  const int index = token == "-" ? static_cast<int>(size) : ArrayIndex(token, size + 1);
  if (index < 0) return false;
  parent.PushBack(value, allocator);
  for (auto i = size; i > static_cast<rapidjson::SizeType>(index); --i) {
    parent[i].Swap(parent[i - 1]);
  }
  return true;
}

Result<void> ApplyOne(rapidjson::Document& document, const Value& operation) {
  TESSERA_TRY(const auto op, json::GetString(operation, "op"));
  TESSERA_TRY(const auto path, json::GetString(operation, "path"));
  const auto tokens = SplitPointer(path);
  Value* parent = &document;
  for (std::size_t i = 0; parent != nullptr && i + 1 < tokens.size(); ++i) {
    parent = Child(*parent, tokens[i]);
  }
  if (parent == nullptr || tokens.empty()) {
    return Fail(Errc::kInvalidArgument, path + ": no such parent");
  }
  const auto member = operation.FindMember("value");
  Value value;
  if (member != operation.MemberEnd()) value.CopyFrom(member->value, document.GetAllocator());
  Value* target = Child(*parent, tokens.back());
  bool done = false;
  if (op == "remove") done = Remove(*parent, tokens.back());
  if (op == "add") done = Add(*parent, tokens.back(), std::move(value), document.GetAllocator());
  if (op == "replace" && target != nullptr) {
    *target = std::move(value);
    done = true;
  }
  return done ? Result<void>() : Fail(Errc::kInvalidArgument, op + " " + path + " does not apply");
}

}  // namespace

Result<void> ApplyPatch(rapidjson::Document& document, const Value& operations) {
  for (const Value& operation : operations.GetArray()) {
    if (const auto ok = ApplyOne(document, operation); !ok) return ok;
  }
  return {};
}

}  // namespace tessera::webhook
