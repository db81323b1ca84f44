#include "common/json/json_patch.h"

#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include "common/json/json.h"

namespace tessera::json {
namespace {

using rapidjson::Document;
using rapidjson::SizeType;
using rapidjson::Value;
using Allocator = Document::AllocatorType;
using Tokens = std::span<const std::string>;

// "copy" can double a document with each operation.
constexpr std::size_t kMaxBytes = std::size_t{32} << 20;

tl::unexpected<Error> Bad(std::string message) {
  return Fail(Errc::kInvalidArgument, std::move(message));
}

/// An array index as RFC 6901 writes it: digits without leading zeros.
std::optional<SizeType> Index(std::string_view token) {
  SizeType index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  const bool digits = error == std::errc{} && end == token.data() + token.size() && !token.empty();
  if (!digits || (token.size() > 1 && token.front() == '0')) return std::nullopt;
  return index;
}

Value* Member(Value& object, const std::string& name) {
  const Value key(rapidjson::StringRef(name.data(), name.size()));
  const auto member = object.FindMember(key);
  return member == object.MemberEnd() ? nullptr : &member->value;
}

/// The value that the tokens lead to; an error says which token is not there.
Result<Value*> Resolve(Value& root, Tokens tokens) {
  Value* at = &root;
  for (const std::string& token : tokens) {
    Value* next = nullptr;
    if (at->IsObject()) {
      next = Member(*at, token);
    } else if (at->IsArray()) {
      const auto index = Index(token);
      if (index && *index < at->Size()) next = &(*at)[*index];
    }
    if (next == nullptr) return Bad("\"" + token + "\" does not exist");
    at = next;
  }
  return at;
}

Result<void> Add(Value& root, Tokens path, Value value, Allocator& allocator) {
  if (path.empty()) {
    root = std::move(value);
    return {};
  }
  TESSERA_TRY(Value* const parent, Resolve(root, path.first(path.size() - 1)));
  const std::string& last = path.back();
  if (parent->IsObject()) {
    if (Value* const present = Member(*parent, last)) {
      *present = std::move(value);
    } else {
      parent->AddMember(String(last, allocator), value, allocator);
    }
    return {};
  }
  if (!parent->IsArray()) return Bad("the parent is neither an object nor an array");
  const auto index = last == "-" ? parent->Size() : Index(last);
  if (!index || *index > parent->Size())
    return Bad("\"" + last + "\" is not an index of the array");
  parent->PushBack(value, allocator);
  for (SizeType i = parent->Size() - 1; i > *index; --i) (*parent)[i].Swap((*parent)[i - 1]);
  return {};
}

/// Takes the value out and gives it back.
Result<Value> Remove(Value& root, Tokens path) {
  TESSERA_TRY(Value* const found, Resolve(root, path));
  Value taken;
  taken.Swap(*found);
  if (path.empty()) return taken;
  Value& parent = *Resolve(root, path.first(path.size() - 1)).value();
  if (parent.IsObject()) {
    // EraseMember, not RemoveMember: the order of the others stays.
    parent.EraseMember(
        parent.FindMember(Value(rapidjson::StringRef(path.back().data(), path.back().size()))));
  } else {
    parent.Erase(parent.Begin() + *Index(path.back()));
  }
  return taken;
}

struct Operation {
  std::string op;
  std::string path_text;
  std::vector<std::string> path;
  std::vector<std::string> from;  // move, copy
  const Value* value = nullptr;   // add, replace, test; points into the patch
};

Result<Operation> ParseOperation(const Value& each) {
  Operation operation;
  TESSERA_TRY(operation.op, GetString(each, "op"));
  TESSERA_TRY(operation.path_text, GetString(each, "path"));
  TESSERA_TRY(operation.path, ParsePointer(operation.path_text));
  const std::string& op = operation.op;
  if (op == "move" || op == "copy") {
    TESSERA_TRY(const std::string from, GetString(each, "from"));
    TESSERA_TRY(operation.from, ParsePointer(from));
  } else if (op == "add" || op == "replace" || op == "test") {
    // A null is a value here, so Find will not do.
    const auto value = each.FindMember("value");
    if (value == each.MemberEnd()) return Bad("value is missing");
    operation.value = &value->value;
  } else if (op != "remove") {
    return Bad("op \"" + op + "\" is unknown");
  }
  return operation;
}

bool IsPrefix(Tokens prefix, Tokens path) {
  return prefix.size() < path.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

Result<void> Run(Document& document, const Operation& operation) {
  Allocator& allocator = document.GetAllocator();
  const std::string& op = operation.op;
  if (op == "add")
    return Add(document, operation.path, Value(*operation.value, allocator), allocator);
  if (op == "move" || op == "copy") {
    if (op == "move" && IsPrefix(operation.from, operation.path)) {
      return Bad("a value cannot be moved into itself");
    }
    TESSERA_TRY(Value* const source, Resolve(document, operation.from));
    Value moved(*source, allocator);
    if (op == "move") {
      TESSERA_TRY([[maybe_unused]] const Value removed, Remove(document, operation.from));
    }
    return Add(document, operation.path, std::move(moved), allocator);
  }
  TESSERA_TRY(Value* const found, Resolve(document, operation.path));
  if (op == "test") {
    if (*found == *operation.value) return {};
    return Fail(Errc::kConflict, "the value is " + Dump(*found).substr(0, 200));
  }
  if (op == "replace") {
    found->CopyFrom(*operation.value, allocator);
    return {};
  }
  TESSERA_TRY([[maybe_unused]] const Value removed, Remove(document, operation.path));
  return {};
}

void Merge(Value& target, const Value& patch, Allocator& allocator) {
  if (!patch.IsObject()) {
    target.CopyFrom(patch, allocator);
    return;
  }
  if (!target.IsObject()) target.SetObject();
  for (const auto& [name, value] : patch.GetObject()) {
    const auto present = target.FindMember(name);
    if (value.IsNull()) {
      if (present != target.MemberEnd()) target.EraseMember(present);
    } else if (present != target.MemberEnd()) {
      Merge(present->value, value, allocator);
    } else {
      Value fresh;
      Merge(fresh, value, allocator);  // drops the nulls inside
      target.AddMember(Value(name, allocator), fresh, allocator);
    }
  }
}

}  // namespace

Result<std::vector<std::string>> ParsePointer(std::string_view text) {
  std::vector<std::string> tokens;
  if (text.empty()) return tokens;
  if (text.front() != '/') return Bad("path \"" + std::string(text) + "\" must begin with /");
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '/') {
      tokens.emplace_back();
    } else if (text[i] != '~') {
      tokens.back() += text[i];
    } else if (i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1')) {
      tokens.back() += text[++i] == '0' ? '~' : '/';
    } else {
      return Bad("path \"" + std::string(text) + "\" has a ~ that is neither ~0 nor ~1");
    }
  }
  return tokens;
}

Result<void> ApplyPatch(Document& document, const Value& patch) {
  if (!patch.IsArray()) return Bad("a JSON patch must be an array");
  Document changed;
  changed.CopyFrom(document, changed.GetAllocator());
  for (SizeType i = 0; i < patch.Size(); ++i) {
    const std::string where = "patch[" + std::to_string(i) + "]";
    const auto operation = ParseOperation(patch[i]);
    if (!operation) return Wrap(operation.error(), where);
    if (const auto done = Run(changed, *operation); !done) {
      return Wrap(done.error(), where + " (" + operation->op + " " + operation->path_text + ")");
    }
    if (changed.GetAllocator().Size() > kMaxBytes)
      return Bad(where + ": the document grows too large");
  }
  document.Swap(changed);
  return {};
}

void ApplyMergePatch(Document& document, const Value& patch) {
  Merge(document, patch, document.GetAllocator());
}

}  // namespace tessera::json
