#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/abi/cuda.h"
#include "sim/cuda/graph_memory.h"
#include "sim/cuda/memory.h"
#include "sim/cuda/objects.h"
#include "sim/gpu/config.h"
#include "sim/gpu/state.h"

namespace tessera::sim::cuda {

struct Graph;
struct GraphExec;
struct GreenContext;
struct ResourceDesc;
struct Array;

/// A visible GPU. Constant after cuInit but for what `mu` guards.
struct Device {
  CUdevice ordinal = 0;
  gpu::GpuConfig config;
  std::unique_ptr<gpu::DeviceState> state;
  std::unique_ptr<Engine> engine;
  Arena arena;
  GraphMemory graph_memory;

  std::mutex mu;       ///< guards the next
  ContextPtr primary;  ///< one for good, once made; `destroyed` while nobody holds it
  unsigned int primary_refs = 0;
  unsigned int primary_flags = 0;
  std::shared_ptr<Pool> default_pool;
  std::shared_ptr<Pool> managed_pool;  ///< the default one of managed memory
  std::shared_ptr<Pool> current_pool;

  /// The first error that a kernel raised here in this process. It outlives its context: no new
  /// one can be made on this device, as with a real one.
  std::atomic<int> fault{0};

  bool Reserve(std::uint64_t bytes) { return state->Reserve(bytes, config.memory_bytes()); }
  void Release(std::uint64_t bytes) { state->Release(bytes); }
};

/// Everything this process has of the driver. One per process, never destroyed: other libraries
/// call the driver while the process ends. Thread-safe.
struct Driver {
  /// Before cuInit: kCold. A fork after cuInit makes the child kForked for good.
  enum class Phase { kCold, kReady, kForked, kOver };
  std::atomic<Phase> phase{Phase::kCold};
  std::mutex init_mu;
  bool noop = false;  ///< TESSERA_SIM_NOOP: no state, no backing, no queue; for benchmarks
  std::deque<Device> devices;

  Table<Context> contexts;
  Table<Stream> streams;
  Table<Event> events;
  Table<Module> modules;
  Table<Module> libraries;
  Table<Function> functions;
  Table<Pool> pools;
  Table<Array> arrays;
  Table<Graph> graphs;
  Table<GraphExec> graph_execs;
  Table<GreenContext> green_contexts;
  Table<ResourceDesc> resource_descs;
  AddressMap memory;
  std::atomic<std::uint64_t> next_stream_id{16};
};

Driver& TheDriver();

/// CUDA_SUCCESS once cuInit has succeeded, else what every call returns.
CUresult Ready();
/// What cuDriverGetVersion says; also before cuInit, and where the configuration is wrong.
int DriverVersion();
/// Reads the configuration and makes the devices. Idempotent.
CUresult Initialise();
/// Null for an ordinal that is none. REQUIRES: Ready().
Device* FindDevice(CUdevice ordinal);

/// The calling thread's stack of contexts; the last is current.
std::vector<ContextPtr>& ThreadContexts();

/// The calling thread's current context, if it can be worked with.
///
/// Errors in this order: not initialised, no context, destroyed, the context's sticky error.
class Current {
 public:
  Current();
  explicit operator bool() const { return error_ == CUDA_SUCCESS; }
  CUresult error() const { return error_; }
  const ContextPtr& ctx() const { return ctx_; }
  Context* operator->() const { return ctx_.get(); }
  Device& device() const { return *ctx_->device; }

 private:
  CUresult error_;
  ContextPtr ctx_;
};

/// By CUlimit, as a new context has them.
inline constexpr std::array<std::size_t, 3> kDefaultLimits = {1024, 1 << 20, 8 << 20};

/// Address space for the device's memory; at once where it is there. Complains where there is none.
bool ReserveAddresses(Device& device);
/// A new context on `device` that has charged its memory; null with `error` as of Activate.
ContextPtr MakeContext(Device& device, bool primary, unsigned int flags, unsigned int api_version,
                       CUresult& error);
/// Makes a primary context that has ended work again, under its old handle.
/// Errors: CUDA_ERROR_OUT_OF_MEMORY, the device's fault. REQUIRES: it is new or destroyed.
CUresult Activate(Context& ctx, unsigned int flags);
/// Ends a context: its queue is dropped, its objects and memory are given back.
void DestroyContext(const ContextPtr& ctx);

/// The stream that a handle means for `ctx`: 0 is the legacy stream, or the thread's own where
/// `per_thread`. Null: not a stream of a living context.
StreamPtr FindStream(const ContextPtr& ctx, CUstream handle, bool per_thread);
/// The current context and the stream that a caller named, with the stream's own context; or the
/// error: Current's, or CUDA_ERROR_INVALID_HANDLE.
struct Target {
  Current current;
  StreamPtr stream;
  ContextPtr owner;
  CUresult error;

  Target(CUstream handle, bool per_thread);
};

/// Queues an operation on a stream and keeps the marks that synchronisation waits for; on a stream
/// that is captured, it becomes a node of this type, and the number is 0.
std::uint64_t SubmitTo(Context& ctx, Stream& stream, Operation operation,
                       CUgraphNodeType type = CU_GRAPH_NODE_TYPE_MEMCPY);
/// Waits until a context's queue up to `number` is done; the context's sticky error, if any.
CUresult WaitFor(Context& ctx, std::uint64_t number);
/// What a synchronisation of this stream waits for.
std::uint64_t LastOf(const Context& ctx, const Stream& stream);

}  // namespace tessera::sim::cuda
