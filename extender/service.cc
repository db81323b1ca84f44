#include "extender/service.h"

#include <mutex>
#include <optional>
#include <string>

#include <prometheus/text_serializer.h>

#include "common/base/log.h"
#include "common/http/metrics.h"
#include "common/kube/object.h"
#include "common/kube/reflector.h"
#include "extender/idle_guard.h"
#include "extender/metrics.h"
#include "extender/other_pods.h"
#include "extender/pending_events.h"
#include "extender/ranking.h"
#include "extender/routes.h"
#include "extender/second_look.h"
#include "extender/watch.h"
#include "extender/workload_file.h"

namespace tessera::extender {
namespace {

/// How long a filter waits for a list of all pods; below kube-scheduler's httpTimeout.
constexpr std::chrono::seconds kListTime{2};

}  // namespace

struct Service::Impl {
  Impl(kube::Client& watch, kube::Client& bind_client, const Clock& clock,
       const ServiceOptions& options)
      : watch_client(watch),
        ranking(ReadWorkload(options.workload_file),
                [this, path = options.workload_file](const std::string& text) {
                  const std::lock_guard lock(workload_mu);
                  WriteWorkload(path, text);
                }),
        cache(clock,
              {.hold_time = options.hold_time, .preference = [this] { return ranking.model(); }}),
        second_look(cache, clock),
        events(watch, clock, cache, ranking, verdicts, [this] { return synced(); }),
        nodes(watch, std::string(kNodesPath), NodeHandlers(cache)),
        pods(watch, std::string(kPodsPath),
             PodHandlers(cache, {.on_pod = [this](const auto& pod) { Explain(pod); },
                                 .on_gone = [this](std::string_view uid) { events.Drop(uid); }})),
        idle(clock, options.idle_limit,
             {.request = [this] { return pods.RequestList(); },
              .wait = [this](std::uint64_t ticket) { return pods.AwaitList(ticket, kListTime); }}),
        filter(
            cache, ranking, verdicts,
            {.limit = options.filter_limit,
             .is_newer = [this](const auto& seen) { return second_look.Wait(seen); }},
            [this] { return synced() && idle.Enter(); },
            [this](const Reasons& reasons) { rejections.Count(reasons); }),
        bind(bind_client, cache, clock, options.bind_timeout,
             [this] {
               idle.Touch();
               return synced();
             }),
        server(options.http) {
    if (!ranking.restored()) {
      log::Warn("the saved workload cannot be read; it is learned anew",
                {{"file", options.workload_file}});
    }
    if (options.watch_other_pods) {
      other_pods.emplace(watch, std::string(kOtherPodsPath), OtherPodHandlers(cache));
    }
    AddRoutes(server, {filter, prioritize, bind, preempt}, metrics, clock);
    AddState(server);
    if (options.metrics_http) AddState(metrics_server.emplace(*options.metrics_http));
  }
  void AddState(http::Server& to) {
    to.AddReadyCheck("nodes", [this] { return std::string(nodes.synced() ? "" : "not synced"); });
    to.AddReadyCheck("pods", [this] { return std::string(pods.synced() ? "" : "not synced"); });
    to.ServeMetrics([this] {
      return metrics.Render() + prometheus::TextSerializer{}.Serialize(cluster.Collect());
    });
  }
  void Explain(const rapidjson::Value& pod) {
    if (auto untold = ReadUntold(pod)) {
      events.Tell(*std::move(untold));
    } else {
      events.Drop(kube::Uid(pod));
    }
  }
  bool synced() const { return nodes.synced() && pods.synced(); }

  kube::Client& watch_client;
  std::mutex workload_mu;  ///< one writer of the workload's file
  Ranking ranking;
  Cache cache;
  SecondLook second_look;
  VerdictCache verdicts;
  PendingEvents events;
  kube::Reflector nodes;
  kube::Reflector pods;
  IdleGuard idle;
  std::optional<kube::Reflector> other_pods;  ///< for scores only: nothing waits for it
  http::Metrics metrics{"extender"};
  RejectionMetrics rejections{metrics.registry()};
  const ClusterMetrics cluster{cache};
  const Filter filter;
  const Prioritize prioritize{cache, ranking, verdicts};
  const Bind bind;
  const Preempt preempt{cache, ranking, [this] { return synced(); }};
  // The servers are last: their threads use all the others.
  http::Server server;
  std::optional<http::Server> metrics_server;
  int metrics_port = 0;
};

Service::Service(kube::Client& watch_client, kube::Client& bind_client, const Clock& clock,
                 const ServiceOptions& options)
    : impl_(std::make_unique<Impl>(watch_client, bind_client, clock, options)) {}

Service::~Service() { Stop(); }

Result<int> Service::Start() {
  TESSERA_TRY(const int port, impl_->server.Start());
  if (impl_->metrics_server) {
    TESSERA_TRY(impl_->metrics_port, impl_->metrics_server->Start());
  }
  impl_->events.Start();
  impl_->nodes.Start();
  impl_->pods.Start();
  if (impl_->other_pods) impl_->other_pods->Start();
  return port;
}

int Service::metrics_port() const { return impl_->metrics_port; }

bool Service::synced() const { return impl_->synced(); }

void Service::Stop() {
  if (impl_->metrics_server) impl_->metrics_server->Drain();
  impl_->server.Drain();
  impl_->server.Stop();
  if (impl_->metrics_server) impl_->metrics_server->Stop();
  impl_->watch_client.Shutdown();
  if (impl_->other_pods) impl_->other_pods->Stop();
  impl_->pods.Stop();
  impl_->events.Stop();
  impl_->nodes.Stop();
}

}  // namespace tessera::extender
