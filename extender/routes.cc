#include "extender/routes.h"

#include <functional>
#include <string>

#include "common/base/log.h"

namespace tessera::extender {
namespace {

/// What one verb makes of a body: the answer's text, or an error for the scheduler.
using Verb = std::function<Result<std::string>(std::string_view body)>;
using OnError = std::function<std::string(std::string_view error)>;

}  // namespace

void AddRoutes(http::Server& server, const Verbs& verbs, http::Metrics& metrics,
               const Clock& clock) {
  const auto add = [&](const std::string& name, const Verb& verb, const OnError& on_error) {
    server.Route(
        "POST", "/" + name, [name, verb, on_error, &metrics, &clock](const http::Request& request) {
          const auto start = clock.Now();
          const auto answer = verb(request.body);
          metrics.Observe(name, answer ? "ok" : "error", clock.Now() - start);
          if (!answer)
            log::Warn("verb failed", {{"verb", name}, {"reason", answer.error().message}});
          return http::Response{.body = answer ? *answer : on_error(answer.error().message)};
        });
  };
  add(
      "filter",
      [&filter = verbs.filter](std::string_view body) {
        return ParseExtenderArgs(body)
            .and_then([&](const ExtenderArgs& args) { return filter.Handle(args); })
            .map(FilterResultJson);
      },
      FilterErrorJson);
  add(
      "prioritize",
      [&prioritize = verbs.prioritize](std::string_view body) {
        return ParseExtenderArgs(body).map(
            [&](const ExtenderArgs& args) { return HostPrioritiesJson(prioritize.Handle(args)); });
      },
      [](std::string_view) { return std::string("[]"); });
  add(
      "bind",
      [&bind = verbs.bind](std::string_view body) {
        return ParseBindingArgs(body)
            .and_then([&](const BindingArgs& args) { return bind.Handle(args); })
            .map([] { return BindingResultJson(""); });
      },
      BindingResultJson);
  add(
      "preempt",
      [&preempt = verbs.preempt](std::string_view body) {
        return ParsePreemptionArgs(body)
            .and_then([&](const PreemptionArgs& args) { return preempt.Handle(args); })
            .map(PreemptionResultJson);
      },
      [](std::string_view) { return PreemptionResultJson({}); });
}

}  // namespace tessera::extender
