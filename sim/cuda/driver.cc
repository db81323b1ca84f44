#include "sim/cuda/driver.h"

#include <pthread.h>
#include <unistd.h>

#include <cstdlib>

#include "sim/cuda/array.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/green.h"
#include "sim/cuda/pool.h"
#include "sim/gpu/environment.h"
#include "sim/gpu/visible.h"

namespace tessera::sim::cuda {
namespace {

/// Address space is cheap: room for holes between blocks.
constexpr std::uint64_t kArenaFactor = 4;

void AfterForkInChild() {
  Driver& driver = TheDriver();
  if (driver.phase == Driver::Phase::kReady) driver.phase = Driver::Phase::kForked;
}

void AtExit() {
  Driver& driver = TheDriver();
  auto ready = Driver::Phase::kReady;
  if (!driver.phase.compare_exchange_strong(ready, Driver::Phase::kOver)) return;
  for (Device& device : driver.devices) {
    device.engine->Stop();
    device.state->Detach();
  }
}

CUresult AddDevices(Driver& driver, const std::vector<gpu::GpuConfig>& visible) {
  const auto folder = gpu::StateFolder();
  if (!folder) {
    gpu::Complain(folder.error().message);
    return CUDA_ERROR_NO_DEVICE;
  }
  for (const gpu::GpuConfig& config : visible) {
    auto state = gpu::DeviceState::Open(*folder, config.uuid);
    if (!state) {
      gpu::Complain(state.error().message);
      driver.devices.clear();
      return CUDA_ERROR_NO_DEVICE;
    }
    Device& device = driver.devices.emplace_back();
    device.ordinal = static_cast<CUdevice>(driver.devices.size()) - 1;
    device.config = config;
    device.state = *std::move(state);
    device.engine = std::make_unique<Engine>(*device.state, config.loss);
  }
  return CUDA_SUCCESS;
}

}  // namespace

Driver& TheDriver() {
  static Driver& driver = *new Driver;
  return driver;
}

CUresult Ready() {
  switch (TheDriver().phase.load(std::memory_order_acquire)) {
    case Driver::Phase::kReady:
      return CUDA_SUCCESS;
    case Driver::Phase::kOver:
      return CUDA_ERROR_DEINITIALIZED;
    default:
      return CUDA_ERROR_NOT_INITIALIZED;
  }
}

int DriverVersion() {
  static const int version = [] {
    const auto machine = gpu::LoadMachine();
    return machine ? machine->cuda_version : gpu::MachineConfig().cuda_version;
  }();
  return version;
}

CUresult Initialise() {
  Driver& driver = TheDriver();
  const std::lock_guard lock(driver.init_mu);
  if (driver.phase != Driver::Phase::kCold) return Ready();
  const auto machine = gpu::LoadMachine();
  if (!machine) {
    gpu::Complain(machine.error().message);
    return CUDA_ERROR_NO_DEVICE;
  }
  const auto container = gpu::ContainerDevices(machine->gpus, gpu::Environment(gpu::kEnvVisible));
  const auto visible = gpu::CudaDevices(container, gpu::Environment(gpu::kEnvCudaVisible));
  if (visible.named_twice) return CUDA_ERROR_INVALID_DEVICE;
  if (visible.devices.empty()) return CUDA_ERROR_NO_DEVICE;
  const CUresult added = AddDevices(driver, visible.devices);
  if (added != CUDA_SUCCESS) return added;
  driver.noop = gpu::Environment(gpu::kEnvNoop).value_or("") == "1";
  pthread_atfork(nullptr, nullptr, AfterForkInChild);
  std::atexit(AtExit);
  driver.phase.store(Driver::Phase::kReady, std::memory_order_release);
  return CUDA_SUCCESS;
}

Device* FindDevice(CUdevice ordinal) {
  auto& devices = TheDriver().devices;
  if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= devices.size()) return nullptr;
  return &devices[static_cast<std::size_t>(ordinal)];
}

std::vector<ContextPtr>& ThreadContexts() {
  // Leaked with its thread's last call possibly after its destructors: a pointer, no destructor.
  thread_local std::vector<ContextPtr>* stack = nullptr;
  if (stack == nullptr) {
    stack = new std::vector<ContextPtr>;
    thread_local const std::unique_ptr<std::vector<ContextPtr>, void (*)(std::vector<ContextPtr>*)>
        owner(stack, [](std::vector<ContextPtr>* old) {
          delete old;
          stack = nullptr;
        });
  }
  return *stack;
}

Current::Current() : error_(Ready()) {
  if (error_ != CUDA_SUCCESS) return;
  const auto& stack = ThreadContexts();
  if (stack.empty() || stack.back() == nullptr) {
    error_ = CUDA_ERROR_INVALID_CONTEXT;
    return;
  }
  ctx_ = stack.back();
  if (ctx_->destroyed || HomeOf(ctx_)->destroyed) {
    error_ = CUDA_ERROR_CONTEXT_IS_DESTROYED;
  } else {
    error_ = static_cast<CUresult>(ctx_->fault->load());
  }
}

bool ReserveAddresses(Device& device) {
  if (device.arena.Init(device.config.memory_bytes() * kArenaFactor)) return true;
  gpu::Complain("no address space for the memory of " + device.config.uuid);
  return false;
}

CUresult Activate(Context& ctx, unsigned int flags) {
  Device& device = *ctx.device;
  if (const int fault = device.fault) return static_cast<CUresult>(fault);
  if (!device.state->Attach()) return CUDA_ERROR_OUT_OF_MEMORY;
  if (!ReserveAddresses(device)) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::uint64_t cost = device.config.context_mib << 20;
  if (!device.Reserve(cost)) return CUDA_ERROR_OUT_OF_MEMORY;
  ctx.charged_bytes = cost;
  ctx.left_bytes = 0;
  ctx.flags = flags;
  for (std::size_t i = 0; i < kDefaultLimits.size(); ++i) ctx.limits[i] = kDefaultLimits[i];
  ctx.fault->store(0);
  ctx.destroyed = false;
  return CUDA_SUCCESS;
}

ContextPtr MakeContext(Device& device, bool primary, unsigned int flags, unsigned int api_version,
                       CUresult& error) {
  auto ctx = std::make_shared<Context>();
  ctx->device = &device;
  ctx->primary = primary;
  ctx->api_version = api_version;
  error = Activate(*ctx, flags);
  if (error != CUDA_SUCCESS) return nullptr;
  ctx->legacy = std::make_shared<Stream>();
  ctx->legacy->ctx = ctx;
  ctx->legacy->legacy = true;
  ctx->legacy->id = 1;
  TheDriver().contexts.Add(ctx);
  return ctx;
}

void DestroyContext(const ContextPtr& ctx) {
  Driver& driver = TheDriver();
  if (ctx->destroyed.exchange(true)) return;
  int none = 0;
  ctx->fault->compare_exchange_strong(none, CUDA_ERROR_CONTEXT_IS_DESTROYED);
  ctx->device->engine->Wait(ctx->last);  // what is queued is skipped now
  const auto ours = [&](const auto& object) {
    const auto owner = object.ctx.lock();
    return owner == nullptr || owner == ctx;
  };
  driver.streams.TakeIf(ours);
  driver.events.TakeIf(ours);
  driver.functions.TakeIf(
      [&](const Function& function) { return !function.contextless && ours(function); });
  driver.modules.TakeIf(ours);
  for (const auto& array : driver.arrays.TakeIf(ours)) ReleaseArray(*array);
  for (const Allocation& allocation : driver.memory.TakeOf(*ctx)) ReleaseAllocation(allocation);
  TrimPools(*ctx->device);
  ctx->device->Release(ctx->charged_bytes);
  if (!ctx->primary) driver.contexts.Take(ctx.get());
}

StreamPtr FindStream(const ContextPtr& ctx, CUstream handle, bool per_thread) {
  if (handle == CU_STREAM_LEGACY || (handle == nullptr && !per_thread)) return ctx->legacy;
  if (handle == CU_STREAM_PER_THREAD || handle == nullptr) {
    const std::lock_guard lock(ctx->mu);
    StreamPtr& own = ctx->per_thread[std::this_thread::get_id()];
    if (own == nullptr) {
      own = std::make_shared<Stream>();
      own->ctx = ctx;
      own->id = 2;
    }
    return own;
  }
  StreamPtr stream = TheDriver().streams.Find(handle);
  if (stream == nullptr || stream->ctx.lock() == nullptr) return nullptr;
  return stream;
}

Target::Target(CUstream handle, bool per_thread) : error(current.error()) {
  if (error != CUDA_SUCCESS) return;
  stream = FindStream(current.ctx(), handle, per_thread);
  if (stream != nullptr) owner = stream->ctx.lock();
  if (owner == nullptr) error = CUDA_ERROR_INVALID_HANDLE;
}

namespace {

/// Marks only grow: two threads may submit to one stream at once.
void Raise(std::atomic<std::uint64_t>& mark, std::uint64_t number) {
  std::uint64_t seen = mark.load();
  while (seen < number && !mark.compare_exchange_weak(seen, number)) {
  }
}

}  // namespace

std::uint64_t SubmitTo(Context& ctx, Stream& stream, Operation operation, CUgraphNodeType type) {
  if (const CapturePtr capture = CaptureOf(stream)) {
    Append(*capture->graph, {.type = type, .operation = std::move(operation)});
    return 0;
  }
  operation.fault = ctx.fault;
  if (operation.raises != 0) {
    operation.action = [&device = *ctx.device, code = operation.raises](std::uint64_t,
                                                                        bool skipped) {
      int none = 0;
      if (!skipped) device.fault.compare_exchange_strong(none, code);
    };
  }
  const std::uint64_t number = ctx.device->engine->Submit(std::move(operation));
  Raise(stream.last, number);
  Raise(ctx.last, number);
  if (ctx.home != nullptr) Raise(ctx.home->last, number);
  if ((stream.flags & CU_STREAM_NON_BLOCKING) == 0) Raise(ctx.last_blocking, number);
  return number;
}

CUresult WaitFor(Context& ctx, std::uint64_t number) {
  ctx.device->engine->Wait(number);
  return static_cast<CUresult>(ctx.fault->load());
}

std::uint64_t LastOf(const Context& ctx, const Stream& stream) {
  return stream.legacy ? ctx.last_blocking.load() : stream.last.load();
}

}  // namespace tessera::sim::cuda
