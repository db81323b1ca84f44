#pragma once

#include <string>
#include <string_view>
#include <vector>

/// RFC 6902 operations on the raw object that the API server sent.
namespace tessera::webhook {

struct Operation {
  std::string op;     ///< "add", "replace", "remove"
  std::string path;   ///< JSON pointer
  std::string value;  ///< JSON text; empty for "remove"

  bool operator==(const Operation&) const = default;
};

using Patch = std::vector<Operation>;

/// One token of a JSON pointer: "~" becomes "~0", "/" becomes "~1".
std::string EscapeToken(std::string_view token);

/// "/spec/containers/0" from {"spec", "containers", "0"}; each token is escaped.
std::string Pointer(std::initializer_list<std::string_view> tokens);

/// The patch as JSON text: an array of operations, in order.
std::string EncodePatch(const Patch& patch);

/// `text` as a JSON string, quotes included.
std::string Quote(std::string_view text);

/// True if both are JSON texts of equal values; the order of members does not matter.
bool SameJson(std::string_view a, std::string_view b);

}  // namespace tessera::webhook
