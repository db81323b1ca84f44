#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/kube/client.h"

/// What the API server's bytes mean. Pure.
namespace tessera::kube {

/// The error of an answer with a status of 400 or more; the message has the words of its Status
/// object. `what` is "GET /api/v1/nodes".
Error AnswerError(const std::string& what, int status, std::string_view body);

/// Cuts a watch's bytes into lines. One thread only.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line) : max_line_(max_line) {}
  /// False if a line is longer than the bound.
  template <typename OnLine>
  bool Feed(std::string_view bytes, OnLine on_line) {
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      const auto piece = bytes.substr(0, end);
      if (rest_.size() + piece.size() > max_line_) return false;
      if (end == std::string_view::npos) {
        rest_.append(piece);
        return true;
      }
      if (rest_.empty()) {
        if (!piece.empty()) on_line(piece);
      } else {
        rest_.append(piece);
        const std::string line = std::move(rest_);
        rest_.clear();
        on_line(std::string_view(line));
      }
      bytes.remove_prefix(end + 1);
    }
    return true;
  }
  /// True inside a line.
  bool partial() const { return !rest_.empty(); }

 private:
  const std::size_t max_line_;
  std::string rest_;
};

/// One line of a watch. An ERROR event is an Error: kGone for 410, else kUnavailable.
Result<WatchEvent> ParseWatchEvent(std::string_view line);

/// `path` with "name=value" added to its query; `value` is percent-encoded.
std::string AddQuery(const std::string& path, std::string_view name, std::string_view value);

}  // namespace tessera::kube
