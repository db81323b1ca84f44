#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include <tl/expected.hpp>

namespace tessera::http {

/// Why a request is refused before any handler sees it.
struct Refusal {
  int status = 400;
  std::string message;
};

/// Reads up to `size` bytes; 0 at the end, negative on error: like read(2), but never zero before
/// the end.
using ByteSource = std::function<ssize_t(char* data, std::size_t size)>;

/// The body that the headers (names in lower case) announce: by Content-Length or chunked, none
/// without either. Never reads beyond it and never holds more than `limit` bytes (413). A message
/// with two framings, contradicting lengths or a malformed chunk is refused (400), an encoding
/// other than chunked too (501, and 415 for Content-Encoding).
tl::expected<std::string, Refusal> ReadBody(const std::multimap<std::string, std::string>& headers,
                                            std::size_t limit, const ByteSource& source);

}  // namespace tessera::http
