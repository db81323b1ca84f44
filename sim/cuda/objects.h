#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/abi/cuda.h"
#include "sim/cuda/engine.h"
#include "sim/cuda/ptx.h"

/// What CUDA's handles point to. A handle is the object's address; it is only ever looked up in the
/// tables of `Driver`, never followed, so that a stale one is refused.
namespace tessera::sim::cuda {

struct Device;
struct Stream;
struct Capture;
using CapturePtr = std::shared_ptr<Capture>;

struct Context {
  Device* device = nullptr;
  bool primary = false;
  unsigned int flags = 0;
  unsigned int api_version = 3020;
  Fault fault = std::make_shared<std::atomic<int>>(0);
  std::atomic<bool> destroyed{false};
  std::atomic<std::uint64_t> charged_bytes{0};
  std::atomic<unsigned int> attached{1};  ///< cuCtxCreate and cuCtxAttach, less cuCtxDetach
  std::shared_ptr<Context>
      home;               ///< of a green context: its device's primary one, which has all objects
  void* green = nullptr;  ///< of a green context: its handle as such
  std::atomic<std::uint64_t> left_bytes{0};  ///< by green contexts that have gone; also charged
  int sms = 0;                               ///< of a green context: what it has of the device
  std::array<std::size_t, 16> limits{};
  std::atomic<std::uint64_t> last{0};           ///< last operation submitted by any stream
  std::atomic<std::uint64_t> last_blocking{0};  ///< ... by one that orders with the null stream
  std::shared_ptr<Stream> legacy;
  std::mutex mu;  ///< guards the next
  std::map<std::thread::id, std::shared_ptr<Stream>> per_thread;
};
using ContextPtr = std::shared_ptr<Context>;

/// The context that memory and code belong to while this one is current.
inline const ContextPtr& HomeOf(const ContextPtr& ctx) {
  return ctx->home != nullptr ? ctx->home : ctx;
}

struct Stream {
  std::weak_ptr<Context> ctx;
  unsigned int flags = 0;
  int priority = 0;
  bool legacy = false;
  std::uint64_t id = 0;
  std::atomic<std::uint64_t> last{0};  ///< number of the last operation submitted
  mutable std::mutex mu;               ///< guards the rest
  CapturePtr capture;                  ///< null: none
  bool unjoined = false;               ///< joined a capture whose origin does not wait for it yet
};
using StreamPtr = std::shared_ptr<Stream>;

/// One cuEventRecord. `end_ns` is 0 until the queue has come to it.
struct Recording {
  Engine* engine = nullptr;
  std::uint64_t number = 0;
  std::atomic<std::uint64_t> end_ns{0};
  CapturePtr capture = nullptr;  ///< it is a mark in a capture, and not in a queue
  std::weak_ptr<Stream> stream = {};
};

struct Event {
  std::weak_ptr<Context> ctx;
  unsigned int flags = 0;
  std::mutex mu;  ///< guards the next
  std::shared_ptr<Recording> recording;
};
using EventPtr = std::shared_ptr<Event>;

struct Module;
/// What cuFuncSet* and cuParamSet* have set for cuLaunch*.
struct LegacyLaunch {
  unsigned int block[3] = {1, 1, 1};
  unsigned int shared_bytes = 0;
  std::size_t bytes = 0;  ///< of the parameters
  std::array<unsigned char, 4096> parameters{};
};
struct Function {
  std::weak_ptr<Context> ctx;
  PtxEntry entry;
  CUmodule module = nullptr;
  std::atomic<unsigned int> shared_limit_bytes{49152};  ///< dynamic shared memory of a launch
  LegacyLaunch legacy;
  bool contextless = false;  ///< a kernel of a CUlibrary: runs in whatever context is current
};
using FunctionPtr = std::shared_ptr<Function>;

struct Module {
  std::weak_ptr<Context> ctx;
  PtxImage image;
  std::map<std::string, FunctionPtr, std::less<>> functions;
  std::map<std::string, PtxGlobal, std::less<>> sizes;  ///< of the globals
  std::map<std::string, CUdeviceptr, std::less<>> globals;
};
using ModulePtr = std::shared_ptr<Module>;

/// Live objects of one kind, by handle. Thread-safe.
template <typename Object>
class Table {
 public:
  template <typename Handle>
  std::shared_ptr<Object> Find(Handle handle) const {
    const std::shared_lock lock(mu_);
    const auto found = objects_.find(reinterpret_cast<const void*>(handle));
    return found == objects_.end() ? nullptr : found->second;
  }
  void Add(std::shared_ptr<Object> object) {
    const std::lock_guard lock(mu_);
    const void* key = object.get();
    objects_.emplace(key, std::move(object));
  }
  /// Null where it was not there.
  template <typename Handle>
  std::shared_ptr<Object> Take(Handle handle) {
    const std::lock_guard lock(mu_);
    const auto node = objects_.extract(reinterpret_cast<const void*>(handle));
    return node.empty() ? nullptr : std::move(node.mapped());
  }
  template <typename Predicate>
  std::vector<std::shared_ptr<Object>> TakeIf(Predicate predicate) {
    const std::lock_guard lock(mu_);
    std::vector<std::shared_ptr<Object>> taken;
    for (auto it = objects_.begin(); it != objects_.end();) {
      if (!predicate(*it->second)) {
        ++it;
        continue;
      }
      taken.push_back(std::move(it->second));
      it = objects_.erase(it);
    }
    return taken;
  }

  /// REQUIRES: `visit` does not use this table.
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    const std::shared_lock lock(mu_);
    for (const auto& [key, object] : objects_) visit(*object);
  }

 private:
  mutable std::shared_mutex mu_;
  std::unordered_map<const void*, std::shared_ptr<Object>> objects_;
};

}  // namespace tessera::sim::cuda
