#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/http/server.h"
#include "common/kube/client.h"

namespace tessera::extender {

struct ServiceOptions {
  http::ServerOptions http{};
  /// A second listener that serves health and metrics and no verbs; none: only `http` has them.
  std::optional<http::ServerOptions> metrics_http{};
  int filter_limit = 8;
  std::chrono::milliseconds hold_time{10'000};
  std::chrono::milliseconds bind_timeout{4'000};
  /// Who was not asked for so long lists all pods before its next filter; 0: never.
  std::chrono::milliseconds idle_limit{10'000};
  bool watch_other_pods = true;  ///< for the CPU that pods without GPUs take of GPU nodes
  std::string workload_file{};   ///< keeps what was learned of the workload; empty: nothing does
};

/// The whole extender: cache, reflectors, verbs, server. Owns a thread for each reflector and
/// the server's. One thread starts and stops it.
class Service {
 public:
  /// The clients and `clock` must outlive this. `bind_client` answers within
  /// ServiceOptions::bind_timeout.
  Service(kube::Client& watch_client, kube::Client& bind_client, const Clock& clock,
          const ServiceOptions& options);
  ~Service();  ///< stops
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// Serves, unready until nodes and pods are synced; returns the port.
  Result<int> Start();
  /// Port of the second listener; 0 without one. REQUIRES: Start succeeded.
  int metrics_port() const;
  /// True once the cache holds what the API server holds.
  bool synced() const;
  /// Finishes requests in flight, then ends the watches; `watch_client` is shut down for that.
  /// Twice is fine.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tessera::extender
