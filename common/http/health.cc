#include "common/http/health.h"

#include <utility>

namespace tessera::http {
namespace {

Response Text(int status, std::string body) {
  return {
      .status = status,
      .body = std::move(body),
      .content_type = "text/plain; charset=utf-8",
      .headers = {{"Cache-Control", "no-cache, private"}, {"X-Content-Type-Options", "nosniff"}}};
}

}  // namespace

void Health::AddReadyCheck(std::string name, std::function<std::string()> check) {
  checks_.push_back({std::move(name), std::move(check)});
}

Response Health::Live() { return Text(200, "ok"); }

Response Health::Ready(bool verbose) const {
  std::string lines;
  bool ready = true;
  const auto add = [&](const std::string& name, const std::string& problem) {
    ready = ready && problem.empty();
    lines += problem.empty() ? "[+]" + name + " ok\n" : "[-]" + name + " failed: " + problem + "\n";
  };
  for (const Check& check : checks_) add(check.name, check.run());
  add("shutdown", draining_ ? "the server is about to stop" : "");
  if (!ready) return Text(503, lines + "readyz check failed\n");
  return Text(200, verbose ? lines + "readyz check passed\n" : "ok");
}

}  // namespace tessera::http
