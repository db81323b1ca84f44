#pragma once

#include <chrono>
#include <functional>
#include <mutex>

#include "common/http/server.h"
#include "sim/kube/api_server.h"
#include "sim/kube/shared_store.h"

namespace tessera::sim {

/// From HTTP requests to the store and back. Thread-safe.
class Routes {
 public:
  Routes(SharedStore& store, std::chrono::milliseconds bookmark_interval)
      : store_(store), bookmark_interval_(bookmark_interval) {}

  void SetAdmission(AdmissionHook hook);
  http::StreamResponse Answer(const http::Request& request);

 private:
  http::Response Read(const Target& target);
  http::Response List(const Target& target, const http::Request& request);
  http::StreamResponse Watch(const Target& target, const http::Request& request);
  http::Response Create(const Target& target, const http::Request& request);
  http::Response Bind(const Target& target, const http::Request& request);
  http::Response Replace(const Target& target, const http::Request& request);
  http::Response Patch(const Target& target, const http::Request& request);
  http::Response Delete(const Target& target, const http::Request& request);

  SharedStore& store_;
  const std::chrono::milliseconds bookmark_interval_;
  std::mutex mu_;
  AdmissionHook admission_ TESSERA_GUARDED_BY(mu_);
};

}  // namespace tessera::sim
