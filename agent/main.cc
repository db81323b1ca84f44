// tessera-agent: wires NVML, the node's publisher, the watches, the regions and the server.
// Threads: main's publishes, one reads NVML, one arbitrates, one asks NVML how busy GPUs are, one
// looks after MPS daemons, two watch, the server's own answer.
#include <unistd.h>

#include <memory>
#include <optional>
#include <set>
#include <span>

#include "agent/arbitration.h"
#include "agent/busy/busy_thread.h"
#include "agent/flags.h"
#include "agent/hardware.h"
#include "agent/hardware_thread.h"
#include "agent/metrics.h"
#include "agent/mps_thread.h"
#include "agent/mps_view.h"
#include "agent/watches.h"
#include "common/base/log.h"
#include "common/base/shutdown.h"
#include "common/http/metrics.h"

namespace tessera::agent {
namespace {

constexpr const char* kComponent = "tessera-agent";
/// How soon a change that the watch tells is acted on.
constexpr std::chrono::milliseconds kTick{250};
/// How long a call of the driver may go on when the agent is told to end.
constexpr std::chrono::seconds kDriverPatience{2};

int Refuse(const Error& error) {
  log::Error("cannot start", {{"reason", error.message}});
  return 1;
}

/// All parts of a running agent; references go from later members to earlier ones.
struct Agent {
  Agent(const Flags& flags, kube::Client& api_client)
      : node_name(flags.node_name),
        client(api_client),
        hardware([library = flags.nvml_library] { return OpenNvml(library); }, clock),
        publisher(client, node_name, clock),
        usage(flags.kubelet_pods_dir),
        watches(client, node_name, publisher, pods) {
    if (flags.arbiter) {
      arbiter.emplace(
          [this, dir = flags.kubelet_pods_dir] { return ContainersToArbitrate(pods.List(), dir); });
      EmplaceBusy(flags);
    }
    if (!flags.mps) return;
    mps.emplace(
        mps::Options{
            .program = flags.mps_control, .arguments = flags.mps_arguments, .root = flags.mps_root},
        clock);
  }

  /// REQUIRES: there is an arbiter.
  void EmplaceBusy(const Flags& flags) {
    busy.emplace(
        BusyThread::Options{.library = flags.nvml_library},
        [this, dir = flags.kubelet_pods_dir] {
          return GpusToSample(hardware.Now().inventory, ContainersToArbitrate(pods.List(), dir));
        },
        [this](const std::string& uuid, std::span<const BusySample> samples) {
          arbiter->TellBusy(uuid, samples);
        },
        [](const std::string& uuid, const std::string& reason) {
          log::Warn("utilisation of the GPU is not known",
                    {{"gpu_uuid", uuid}, {"reason", reason}});
        });
  }

  NodeState State() {
    NodeState state;
    state.node = node_name;
    auto now = hardware.Now();
    state.inventory = std::move(now.inventory);
    state.reading = std::move(now.reading);
    state.nvml_up = now.up;
    state.pods = pods.List();
    state.containers = usage.Read(state.pods);
    if (mps) {
      state.mps = mps->Now();
      MarkMps(*state.mps, state.inventory);
    }
    if (arbiter) state.arbitration = arbiter->Report();
    if (busy) state.busy = busy->Ratios();
    return state;
  }

  const std::string node_name;
  SystemClock clock;
  kube::Client& client;
  PodStore pods;
  Hardware hardware;
  NodePublisher publisher;
  UsageReader usage;
  Watches watches;
  std::optional<mps::Supervisor> mps;    ///< none: isolation mps is off
  std::optional<ArbiterThread> arbiter;  ///< none: nobody is told when to run
  std::optional<BusyThread> busy;        ///< as the arbiter, for which it is
};

/// What the GPUs and the pods mean to the MPS daemons, and these to what is published.
void ExchangeMps(Agent& agent, contract::Inventory& inventory) {
  std::set<std::string> uuids;
  for (const auto& gpu : inventory.gpus) uuids.insert(gpu.uuid);
  agent.mps->SetGpus(std::move(uuids));
  if (agent.watches.pods_synced()) agent.mps->SetWanted(GpusWithMpsPods(agent.pods.List()));
  MarkMps(agent.mps->Now(), inventory);
}

void AddRoutes(http::Server& server, http::Metrics& metrics, Agent& agent) {
  server.AddReadyCheck("nvml", [&] { return agent.hardware.Now().reason; });
  server.AddReadyCheck("node", [&] { return agent.publisher.NotPublishedReason(); });
  server.AddReadyCheck("pods", [&] { return agent.watches.pods_synced() ? "" : "not listed yet"; });
  // State is read on each scrape, so series end with their pod.
  server.ServeMetrics([&] { return metrics.Render() + RenderFamilies(agent.State()); });
}

void Loop(Agent& agent, ShutdownSignal& signal) {
  do {
    if (auto hardware = agent.hardware.Now(); hardware.known) {
      if (agent.mps) ExchangeMps(agent, hardware.inventory);
      agent.publisher.SetInventory(std::move(hardware.inventory));
    }
    if (const auto done = agent.publisher.Reconcile(); !done) {
      log::Warn("node not written; will be tried again", {{"reason", done.error().message}});
    }
  } while (signal.WaitFor(kTick) == 0);
}

int Serve(const Flags& flags, ShutdownSignal& signal) {
  auto config = app::KubeConfig(kComponent, flags.server);
  if (!config) return Refuse(config.error());
  const SystemClock clock;
  const auto client = kube::MakeClient(*std::move(config), clock);
  Agent agent(flags, *client);

  http::Metrics metrics("agent");
  http::Server server(flags.server.http);
  AddRoutes(server, metrics, agent);
  const auto port = server.Start();
  if (!port) return Refuse(port.error());
  if (const auto ok = app::WritePortFile(flags.server, *port); !ok) return Refuse(ok.error());
  log::Info("serving", {{"port", *port}, {"node", flags.node_name}});

  agent.watches.Start();
  HardwareThread reader(agent.hardware, std::chrono::seconds(flags.interval_seconds));
  if (agent.busy) agent.busy->Start();
  std::optional<MpsThread> daemons;
  if (agent.mps) daemons.emplace(*agent.mps);
  Loop(agent, signal);
  log::Info("stopping");
  server.Drain();
  client->Shutdown();
  agent.watches.Stop();
  daemons.reset();
  server.Stop();
  const bool busy_ended = !agent.busy || agent.busy->Stop(kDriverPatience);
  if (!reader.Stop(kDriverPatience) || !busy_ended) {
    log::Warn("NVML hangs; leaving without it");
    _exit(0);
  }
  return 0;
}

int Run(int argc, char** argv) {
  ShutdownSignal signal;
  CLI::App cli("Node agent of Tessera: publishes GPUs, exports metrics", kComponent);
  Flags flags;
  AddFlags(cli, flags);
  CLI11_PARSE(cli, argc, argv);
  app::StartLogging(kComponent, flags.server);
  return Serve(flags, signal);
}

}  // namespace
}  // namespace tessera::agent

int main(int argc, char** argv) { return tessera::agent::Run(argc, argv); }
