#include "sim/cuda/ptx.h"

#include <cctype>
#include <charconv>
#include <optional>

namespace tessera::sim::cuda {
namespace {

/// Words, numbers and single punctuation marks; comments left out.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {}

  /// Empty at the end of the text.
  std::string_view Next() {
    SkipBlanks();
    if (at_ >= text_.size()) return {};
    const std::size_t start = at_;
    if (IsWord(text_[at_])) {
      while (at_ < text_.size() && IsWord(text_[at_])) ++at_;
    } else if (text_[at_] == '"') {
      at_ = text_.find('"', at_ + 1);
      at_ = at_ == text_.npos ? text_.size() : at_ + 1;
    } else {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }

  std::string_view Peek() {
    const std::size_t before = at_;
    const std::string_view token = Next();
    at_ = before;
    return token;
  }

  static bool IsNameStart(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%';
  }

 private:
  static bool IsWord(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '$' ||
           c == '%';
  }
  void SkipBlanks() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_])) != 0) {
        ++at_;
      } else if (text_.substr(at_, 2) == "//") {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (text_.substr(at_, 2) == "/*") {
        const std::size_t end = text_.find("*/", at_ + 2);
        at_ = end == text_.npos ? text_.size() : end + 2;
      } else {
        return;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<std::size_t> ReadSize(std::string_view token) {
  std::size_t value = 0;
  const auto [stop, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc() || stop != token.data() + token.size()) return std::nullopt;
  return value;
}

/// Bytes of one element of a type such as .u64; 0: not a type.
std::size_t TypeBytes(std::string_view token) {
  if (token.size() < 3 || token[0] != '.') return 0;
  if (std::string_view("busf").find(token[1]) == std::string_view::npos) return 0;
  const auto bits = ReadSize(token.substr(2));
  if (!bits || *bits < 8 || *bits > 128 || (*bits & (*bits - 1)) != 0) return 0;
  return *bits / 8;
}

struct Variable {
  std::string name;
  std::size_t bytes = 0;
  std::size_t align = 1;
};

/// After `.param`, `.global` or `.const`: `[.align n] .type name [ '[' count ']' ... ]`, up to but
/// not including the token that ends it.
Result<Variable> ReadVariable(Tokens& tokens) {
  Variable variable;
  std::size_t element = 0;
  while (true) {
    const std::string_view token = tokens.Next();
    if (token.empty()) return Fail(Errc::kInvalidArgument, "text ends within a declaration");
    if (token == ".align") {
      variable.align = ReadSize(tokens.Next()).value_or(0);
      if (variable.align == 0) return Fail(Errc::kInvalidArgument, ".align needs a number");
    } else if (const std::size_t bytes = TypeBytes(token)) {
      element = bytes;
    } else if (token[0] != '.') {
      variable.name = token;
      break;
    }
  }
  if (element == 0) return Fail(Errc::kInvalidArgument, variable.name + ": no known type");
  variable.align = std::max(variable.align, element);
  variable.bytes = element;
  while (tokens.Peek() == "[") {
    tokens.Next();
    const auto count = ReadSize(tokens.Next());
    if (!count || tokens.Next() != "]" || *count > (std::size_t{1} << 40) / variable.bytes) {
      return Fail(Errc::kInvalidArgument, variable.name + ": bad array size");
    }
    variable.bytes *= *count;
  }
  return variable;
}

Result<PtxEntry> ReadEntry(Tokens& tokens) {
  PtxEntry entry;
  entry.name = tokens.Next();
  if (entry.name.empty() || !Tokens::IsNameStart(entry.name[0])) {
    return Fail(Errc::kInvalidArgument, ".entry needs a name");
  }
  if (tokens.Peek() != "(") return entry;
  tokens.Next();
  std::size_t offset = 0;
  for (std::string_view token = tokens.Next(); token != ")"; token = tokens.Next()) {
    if (token.empty()) return Fail(Errc::kInvalidArgument, entry.name + ": no closing bracket");
    if (token != ".param") continue;
    TESSERA_TRY(const auto parameter, ReadVariable(tokens));
    offset = (offset + parameter.align - 1) / parameter.align * parameter.align;
    entry.parameters.push_back({offset, parameter.bytes});
    offset += parameter.bytes;
  }
  return entry;
}

}  // namespace

Result<PtxImage> ParsePtx(std::string_view text) {
  Tokens tokens(text);
  if (tokens.Peek() != ".version") return Fail(Errc::kInvalidArgument, "no .version directive");
  PtxImage image;
  int depth = 0;
  bool has_target = false;
  while (true) {
    const std::string_view token = tokens.Next();
    if (token.empty()) break;
    if (token == "{") ++depth;
    if (token == "}" && --depth < 0) return Fail(Errc::kInvalidArgument, "unbalanced }");
    if (depth > 0) continue;
    has_target = has_target || token == ".target";
    if (token == ".entry") {
      TESSERA_TRY(auto entry, ReadEntry(tokens));
      image.entries.push_back(std::move(entry));
    } else if (token == ".global" || token == ".const") {
      TESSERA_TRY(const auto variable, ReadVariable(tokens));
      image.globals.push_back({variable.name, variable.bytes});
    }
  }
  if (depth != 0) return Fail(Errc::kInvalidArgument, "a { is not closed");
  if (!has_target) return Fail(Errc::kInvalidArgument, "no .target directive");
  return image;
}

}  // namespace tessera::sim::cuda
