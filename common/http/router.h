#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/server.h"

namespace tessera::http {

/// Which handler answers a request. Thread-compatible: routes are added before requests are
/// matched.
class Router {
 public:
  /// REQUIRES: `pattern` is a valid regular expression (a wrong one throws std::regex_error at
  /// start-up).
  void Add(std::string_view method, const std::string& pattern, StreamHandler handler);

  struct Match {
    const StreamHandler* handler = nullptr;
    std::vector<std::string> groups;  ///< [0] the whole path
  };
  /// The first route whose method and pattern fit; HEAD is answered by GET's. Otherwise the answer
  /// to give: 405 with an Allow header if only the method is wrong, else 404.
  tl::expected<Match, Response> Find(std::string_view method, const std::string& path) const;

 private:
  struct Route {
    std::string method;
    std::regex pattern;
    StreamHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace tessera::http
