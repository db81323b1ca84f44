#include "sim/demo/component.h"

#include <signal.h>

#include <cstdlib>
#include <thread>

#include "common/http/client.h"
#include "sim/demo/layout.h"

namespace tessera::sim {
namespace {

constexpr std::chrono::seconds kStartLimit{20};
constexpr std::chrono::seconds kStopLimit{5};

}  // namespace

Result<std::unique_ptr<Component>> Component::Start(ComponentSpec spec,
                                                    const std::filesystem::path& folder) {
  std::unique_ptr<Component> component(new Component(std::move(spec), folder));
  ProcessSpec process{component->spec_.argv, component->spec_.env, folder.string(),
                      component->log_.string()};
  for (const std::string& word : {std::string("--port"), std::string("0"),
                                  std::string("--port-file"), component->port_file_.string()}) {
    process.argv.push_back(word);
  }
  auto started = Process::Start(process);
  if (!started) return Wrap(started.error(), component->name());
  component->process_ = *std::move(started);
  return component;
}

Component::~Component() { Stop(); }

Result<void> Component::WaitPort(Waiter& waiter) {
  auto waited = waiter.Until(name() + " opens its port", kStartLimit, [this] {
    port_ = std::atoi(ReadText(port_file_).c_str());
    return port_ > 0 || !alive();
  });
  if (!waited) return waited;
  if (port_ == 0) return Fail(Errc::kUnavailable, name() + " ended at its start");
  return {};
}

Result<void> Component::WaitReady(Waiter& waiter) {
  if (auto port = WaitPort(waiter); !port) return port;
  auto waited = waiter.Until(name() + " is ready", kStartLimit,
                             [this] { return Get("/readyz").has_value() || !alive(); });
  if (!waited) return waited;
  if (!alive()) return Fail(Errc::kUnavailable, name() + " ended at its start");
  return {};
}

Result<std::string> Component::Get(const std::string& target) const {
  http::ClientOptions options;
  options.base_url = url();
  options.ca_file = spec_.ca_file;
  TESSERA_TRY(auto answer, http::Client(options).Get(target));
  if (answer.status == 200) return std::move(answer.body);
  return Fail(Errc::kUnavailable, url() + target + ": status " + std::to_string(answer.status));
}

std::string Component::url() const {
  return (spec_.tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_);
}

int Component::Stop() {
  process_->Signal(SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kStopLimit;
  while (!process_->Ended() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  process_->Signal(SIGKILL);
  return process_->Wait();
}

}  // namespace tessera::sim
