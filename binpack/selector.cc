#include "binpack/selector.h"

#include <algorithm>
#include <vector>

namespace tessera::binpack {
namespace {

bool IsWordChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameText(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && IsWordChar(text[end])) ++end;
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

template <typename Patterns, typename Matches>
bool Allowed(const Patterns& any, const Patterns& none, Matches matches) {
  return (any.empty() || std::any_of(any.begin(), any.end(), matches)) &&
         std::none_of(none.begin(), none.end(), matches);
}

}  // namespace

bool MatchesModel(const ModelPattern& pattern, std::string_view model) {
  if (!pattern.whole_words) {
    const auto same = [](char a, char b) { return Lower(a) == Lower(b); };
    return std::search(model.begin(), model.end(), pattern.text.begin(), pattern.text.end(),
                       same) != model.end() ||
           pattern.text.empty();
  }
  const auto wanted = Words(pattern.text);
  const auto words = Words(model);
  return !wanted.empty() && std::search(words.begin(), words.end(), wanted.begin(), wanted.end(),
                                        SameText) != words.end();
}

bool AcceptsModel(const DeviceSelector& selector, std::string_view model) {
  return Allowed(selector.models_any, selector.models_none,
                 [&](const ModelPattern& pattern) { return MatchesModel(pattern, model); });
}

bool Accepts(const DeviceSelector& selector, const GpuDevice& device) {
  return AcceptsModel(selector, device.model) &&
         Allowed(selector.uuids_any, selector.uuids_none,
                 [&](const std::string& uuid) { return uuid == device.uuid; });
}

}  // namespace tessera::binpack
