#pragma once

#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace tessera {

/// What the caller of a failed function should do. A code exists only if some caller acts on it.
enum class Errc {
  kInvalidArgument,    ///< the input is wrong: tell whoever wrote it; never retry
  kNotFound,           ///< the object is not there (any more)
  kConflict,           ///< somebody else changed it: read again, then decide
  kGone,               ///< the version asked for is too old (HTTP 410): list again
  kResourceExhausted,  ///< a limit was reached
  kUnavailable,        ///< the peer is away or busy: the same call may succeed later
  kInternal,           ///< a bug or a broken environment
};

/// Lower case, no full stop; names the thing and says what is wrong with it.
struct Error {
  Errc code = Errc::kInternal;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> Fail(Errc code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

/// Passes an error up with the context that only the caller knows: "pod a/b: PodName must be a
/// string".
inline tl::unexpected<Error> Wrap(Error error, const std::string& context) {
  error.message = context + ": " + error.message;
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace tessera

/// TESSERA_TRY(const auto doc, json::Parse(text)): declares `doc`, or returns the error to the
/// caller.
#define TESSERA_TRY_CONCAT_(a, b) a##b
#define TESSERA_TRY_NAME_(a, b) TESSERA_TRY_CONCAT_(a, b)
#define TESSERA_TRY_(name, declaration, expression)                              \
  auto name = (expression);                                                      \
  if (!name) return ::tl::unexpected<::tessera::Error>(std::move(name).error()); \
  declaration = *std::move(name)
#define TESSERA_TRY(declaration, expression) \
  TESSERA_TRY_(TESSERA_TRY_NAME_(tessera_try_, __COUNTER__), declaration, expression)
