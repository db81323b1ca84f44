#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace tessera::sim {

/// An answer that is not success, as the API server words it.
struct Refusal {
  int code = 500;
  std::string reason;  ///< "NotFound", "AlreadyExists", "Conflict", …
  std::string message;
};

template <typename T>
using Reply = tl::expected<T, Refusal>;

inline tl::unexpected<Refusal> Refuse(int code, std::string reason, std::string message) {
  return tl::unexpected<Refusal>(Refusal{code, std::move(reason), std::move(message)});
}

}  // namespace tessera::sim
