#include "common/http/router.h"

#include <set>
#include <utility>

#include "common/http/status.h"

namespace tessera::http {
namespace {

// std::regex recurses for each character: a hostile path must not be able to use up a stack.
constexpr std::size_t kMaxPath = 2048;

}  // namespace

void Router::Add(std::string_view method, const std::string& pattern, StreamHandler handler) {
  routes_.push_back({std::string(method),
                     std::regex(pattern, std::regex::ECMAScript | std::regex::optimize),
                     std::move(handler)});
}

tl::expected<Router::Match, Response> Router::Find(std::string_view method,
                                                   const std::string& path) const {
  if (path.size() > kMaxPath) {
    return tl::make_unexpected(StatusResponse(414, "path is too long", "RequestURITooLong"));
  }
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  std::set<std::string> allowed;
  for (const Route& route : routes_) {
    std::smatch groups;
    if (!std::regex_match(path, groups, route.pattern)) continue;
    if (route.method == wanted) {
      return Match{&route.handler, std::vector<std::string>(groups.begin(), groups.end())};
    }
    allowed.insert(route.method);
  }
  if (allowed.empty()) {
    return tl::make_unexpected(
        StatusResponse(404, "the server could not find the requested resource"));
  }
  Response refusal = StatusResponse(405, "the method is not allowed on this resource");
  std::string list;
  for (const std::string& each : allowed) list += (list.empty() ? "" : ", ") + each;
  refusal.headers.emplace("Allow", list);
  return tl::make_unexpected(std::move(refusal));
}

}  // namespace tessera::http
