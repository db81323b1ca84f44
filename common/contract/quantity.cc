#include "common/contract/quantity.h"

#include <array>
#include <limits>
#include <optional>
#include <string>

namespace tessera::contract {
namespace {

using Wide = unsigned __int128;

constexpr std::size_t kMaxTextLength = 64;
constexpr int kMaxExponent = 60;
constexpr Wide kNano = 1'000'000'000;
constexpr Wide kMib = Wide{1} << 20;

/// A value in thousand-millionths, rounded up: what Kubernetes keeps.
struct Quantity {
  Wide nano = 0;
  bool binary_suffix = false;
};

/// value = number * 2^power2 * 10^power10.
struct Suffix {
  int power2 = 0;
  int power10 = 0;
};

tl::unexpected<Error> Refuse(std::string_view text, std::string_view why) {
  return Fail(Errc::kInvalidArgument,
              "\"" + std::string(text.substr(0, kMaxTextLength)) + "\" " + std::string(why));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<Suffix> ParseExponent(std::string_view digits) {
  int sign = 1;
  if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) {
    sign = digits[0] == '-' ? -1 : 1;
    digits.remove_prefix(1);
  }
  if (digits.empty()) return std::nullopt;
  int value = 0;
  for (const char c : digits) {
    if (!IsDigit(c)) return std::nullopt;
    value = std::min(value * 10 + (c - '0'), kMaxExponent + 1);
  }
  return Suffix{.power10 = sign * value};
}

std::optional<Suffix> ParseSuffix(std::string_view text) {
  struct Row {
    std::string_view name;
    Suffix suffix;
  };
  static constexpr std::array<Row, 16> kRows = {{
      {"", {0, 0}},
      {"n", {0, -9}},
      {"u", {0, -6}},
      {"m", {0, -3}},
      {"k", {0, 3}},
      {"M", {0, 6}},
      {"G", {0, 9}},
      {"T", {0, 12}},
      {"P", {0, 15}},
      {"E", {0, 18}},
      {"Ki", {10, 0}},
      {"Mi", {20, 0}},
      {"Gi", {30, 0}},
      {"Ti", {40, 0}},
      {"Pi", {50, 0}},
      {"Ei", {60, 0}},
  }};
  for (const Row& row : kRows) {
    if (row.name == text) return row.suffix;
  }
  if (text[0] == 'e' || text[0] == 'E') return ParseExponent(text.substr(1));
  return std::nullopt;
}

/// number * 2^power2 * 10^power10, rounded up; nothing if it is too large to keep.
std::optional<Wide> Scale(Wide number, int power2, int power10) {
  if (number == 0) return number;
  Wide out = 0;
  if (__builtin_mul_overflow(number, Wide{1} << power2, &out)) return std::nullopt;
  for (; power10 > 0; --power10) {
    if (__builtin_mul_overflow(out, Wide{10}, &out)) return std::nullopt;
  }
  bool rest = false;
  for (; power10 < 0 && out > 0; ++power10) {
    rest = rest || out % 10 != 0;
    out /= 10;
  }
  return out + (rest ? 1 : 0);
}

Result<Quantity> ParseQuantity(std::string_view text) {
  if (text.empty()) return Refuse(text, "is empty");
  if (text.size() > kMaxTextLength) return Refuse(text, "is too long for a quantity");
  std::size_t at = text[0] == '+' ? 1 : 0;
  if (text[0] == '-') return Refuse(text, "must not be negative");
  Wide number = 0;
  int digits = 0;
  int fraction = 0;
  bool in_fraction = false;
  for (; at < text.size() && (IsDigit(text[at]) || (text[at] == '.' && !in_fraction)); ++at) {
    if (text[at] == '.') {
      in_fraction = true;
      continue;
    }
    if (__builtin_mul_overflow(number, Wide{10}, &number) ||
        number > std::numeric_limits<Wide>::max() - 9) {
      return Refuse(text, "has too many digits");
    }
    number += static_cast<Wide>(text[at] - '0');
    ++digits;
    fraction += in_fraction ? 1 : 0;
  }
  const auto suffix = ParseSuffix(text.substr(at));
  if (digits == 0 || !suffix) return Refuse(text, "is not a quantity");
  if (suffix->power10 > kMaxExponent || suffix->power10 < -kMaxExponent) {
    return Refuse(text, "has too large an exponent");
  }
  const auto nano = Scale(number, suffix->power2, suffix->power10 - fraction + 9);
  if (!nano) return Refuse(text, "is too large");
  return Quantity{*nano, suffix->power2 > 0};
}

Result<std::int64_t> Narrow(Wide value, std::string_view text) {
  if (value > static_cast<Wide>(std::numeric_limits<std::int64_t>::max())) {
    return Refuse(text, "is too large");
  }
  return static_cast<std::int64_t>(value);
}

}  // namespace

Result<std::int64_t> ParseWhole(std::string_view text) {
  TESSERA_TRY(const auto quantity, ParseQuantity(text));
  if (quantity.nano % kNano != 0) return Refuse(text, "is not a whole number");
  return Narrow(quantity.nano / kNano, text);
}

Result<std::int64_t> ParseMemoryCount(std::string_view text, std::string_view unit) {
  TESSERA_TRY(const auto quantity, ParseQuantity(text));
  if (quantity.binary_suffix) {
    return Refuse(text, "has a suffix of bytes, but the resource counts " + std::string(unit) +
                            ": write the plain number");
  }
  return ParseWhole(text);
}

Result<std::int64_t> ParseMilli(std::string_view text) {
  constexpr Wide kMicro = kNano / 1000;
  TESSERA_TRY(const auto quantity, ParseQuantity(text));
  return Narrow(quantity.nano / kMicro + (quantity.nano % kMicro != 0 ? 1 : 0), text);
}

Result<std::int64_t> ParseBytesAsMib(std::string_view text) {
  TESSERA_TRY(const auto quantity, ParseQuantity(text));
  const Wide mib = kNano * kMib;
  if (quantity.nano < mib) return Refuse(text, "is less than 1Mi: write 3000Mi for 3000 MiB");
  return Narrow(quantity.nano / mib + (quantity.nano % mib != 0 ? 1 : 0), text);
}

}  // namespace tessera::contract
