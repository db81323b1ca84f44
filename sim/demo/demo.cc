#include "sim/demo/demo.h"

#include <filesystem>
#include <string>

#include "sim/demo/cluster.h"
#include "sim/demo/console.h"
#include "sim/demo/flow.h"
#include "sim/demo/layout.h"

namespace tessera::sim {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTailLines = 15;
constexpr int kInterrupted = 130;

void ShowTail(const Console& console, const fs::path& log) {
  console.Line("--- the last lines of " + log.string());
  for (const std::string& line : LastLines(log, kTailLines)) console.Line("    " + line);
}

/// The logs that explain a failure: of the component that an error speaks of or that is gone, and
/// of containers.
void ShowLogs(const Console& console, Cluster& cluster, const Flow& flow,
              const std::string& error) {
  for (Component* component : cluster.components()) {
    const bool named = error.find(component->name()) != std::string::npos;
    if (named || !component->alive()) ShowTail(console, component->log());
  }
  for (const fs::path& log : flow.suspicious_logs()) ShowTail(console, log);
}

/// Everything between a running cluster and the verdict.
int RunIn(const fs::path& work, const Layout& layout, const DemoOptions& options, Waiter& waiter) {
  const Console console;
  const fs::path examples =
      options.examples.empty() ? FindExamples(layout) : fs::path(options.examples);
  Cluster cluster(layout, work, {options.delivery}, waiter);
  Flow flow(cluster, waiter, console);
  auto done = flow.Run(examples);
  if (done && options.keep_running) {
    console.Line(flow.checks().Text());
    console.Line("Everything keeps running; Ctrl-C ends it. Look around with: " +
                 (layout.bin_dir / "kubectl-tessera").string() + " inspect --kubeconfig " +
                 cluster.kubeconfig());
    waiter.ForSignal();
    return flow.checks().all_ok() ? 0 : 1;
  }
  if (done) done = flow.CleanUp();
  if (!done && waiter.interrupted()) {
    console.Line("interrupted");
    return kInterrupted;
  }
  console.Line(flow.checks().Text());
  const bool ok = done && flow.checks().all_ok();
  if (!done) console.Line("FAILED: " + done.error().message);
  if (!ok) ShowLogs(console, cluster, flow, done ? "" : done.error().message);
  cluster.Stop();
  console.Step(ok ? "the demo is done: everything held" : "the demo FAILED");
  return ok ? 0 : 1;
}

}  // namespace

int RunDemo(const DemoOptions& options, ShutdownSignal& shutdown) {
  const Console console;
  const auto layout = FindLayout();
  auto work = WorkFolder::Create();
  if (!layout || !work) {
    console.Line("FAILED: " + (layout ? work.error() : layout.error()).message);
    return 1;
  }
  Waiter waiter(shutdown);
  const int code = RunIn(work->path(), *layout, options, waiter);
  if (options.keep || (code != 0 && code != kInterrupted)) {
    work->Keep();
    console.Line("logs and files: " + work->path().string());
  } else if (code == 0 && !options.keep_running) {
    console.Line("run it with --keep-running to look around, with --keep to keep logs and files");
  }
  return code;
}

}  // namespace tessera::sim
