#include "common/http/body.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera::http {
namespace {

using Headers = std::multimap<std::string, std::string>;
using Body = tl::expected<std::string, Refusal>;

constexpr std::size_t kMaxChunkLine = 256;
constexpr std::size_t kMaxTrailerBytes = 8192;

tl::unexpected<Refusal> Refuse(int status, std::string message) {
  return tl::unexpected<Refusal>(Refusal{status, std::move(message)});
}

tl::unexpected<Refusal> TooLarge(std::size_t limit) {
  return Refuse(413, "body is larger than " + std::to_string(limit) + " bytes");
}

std::optional<std::uint64_t> Number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool Append(std::string& body, std::uint64_t count, const ByteSource& source) {
  std::array<char, 16384> piece;
  while (count > 0) {
    const ssize_t got = source(
        piece.data(), static_cast<std::size_t>(std::min<std::uint64_t>(count, piece.size())));
    if (got <= 0) return false;
    body.append(piece.data(), static_cast<std::size_t>(got));
    count -= static_cast<std::uint64_t>(got);
  }
  return true;
}

/// A line without its CRLF; none if it is longer than `limit` or the input ends.
std::optional<std::string> ReadLine(const ByteSource& source, std::size_t limit) {
  std::string line;
  char byte = 0;
  while (source(&byte, 1) == 1) {
    if (byte == '\n') {
      if (line.empty() || line.back() != '\r') return std::nullopt;
      line.pop_back();
      return line;
    }
    line += byte;
    if (line.size() > limit) return std::nullopt;
  }
  return std::nullopt;
}

Body ReadChunked(std::size_t limit, const ByteSource& source) {
  std::string body;
  for (;;) {
    const auto line = ReadLine(source, kMaxChunkLine);
    if (!line) return Refuse(400, "chunk size line is malformed");
    const auto size = Number(std::string_view(*line).substr(0, line->find_first_of("; \t")), 16);
    if (!size) return Refuse(400, "chunk size is not a hexadecimal number");
    if (*size == 0) break;
    if (*size > limit - body.size()) return TooLarge(limit);
    if (!Append(body, *size, source)) return Refuse(400, "body ends early");
    if (const auto end = ReadLine(source, 1); !end || !end->empty()) {
      return Refuse(400, "chunk is longer than its size");
    }
  }
  for (std::size_t trailer = 0; trailer <= kMaxTrailerBytes;) {
    const auto line = ReadLine(source, kMaxTrailerBytes);
    if (!line) return Refuse(400, "trailer is malformed");
    if (line->empty()) return body;
    trailer += line->size() + 2;
  }
  return Refuse(400, "trailer is too long");
}

}  // namespace

Body ReadBody(const Headers& headers, std::size_t limit, const ByteSource& source) {
  const auto [encoding, encodings_end] = headers.equal_range("transfer-encoding");
  const auto [length, lengths_end] = headers.equal_range("content-length");
  if (const auto coded = headers.find("content-encoding");
      coded != headers.end() && coded->second != "identity") {
    return Refuse(415, "Content-Encoding is not supported for requests");
  }
  if (encoding != encodings_end) {
    if (length != lengths_end) return Refuse(400, "Content-Length beside Transfer-Encoding");
    if (std::next(encoding) != encodings_end || encoding->second != "chunked") {
      return Refuse(501, "Transfer-Encoding must be chunked");
    }
    return ReadChunked(limit, source);
  }
  if (length == lengths_end) return std::string();
  const auto size = Number(length->second, 10);
  const bool agree = std::all_of(length, lengths_end, [first = length](const auto& other) {
    return other.second == first->second;
  });
  if (!size || !agree) return Refuse(400, "Content-Length is not one number");
  if (*size > limit) return TooLarge(limit);
  std::string body;
  if (!Append(body, *size, source)) return Refuse(400, "body ends early");
  return body;
}

}  // namespace tessera::http
