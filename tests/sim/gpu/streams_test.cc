// Work on the simulated device: what runs when, and what synchronisation sees.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/abi/cuda_more.h"
#include "sim/gpu/kernels.h"
#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

using Clock = std::chrono::steady_clock;
constexpr unsigned long long kMs = 1'000'000;

class Streams : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const Folder folder;
    const auto config =
        folder.Write("gpus",
                     "gpu uuid=GPU-00000000-0000-4000-8000-000000000000 memory_mib=1024\n"
                     "gpu uuid=GPU-00000000-0000-4000-8000-000000000001 memory_mib=1024\n");
    setenv("TESSERA_SIM_GPUS", config.c_str(), 1);
    setenv("TESSERA_SIM_STATE", folder.path().c_str(), 1);
    ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  }
  void SetUp() override {
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&ctx_, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(ctx_), CUDA_SUCCESS);
    ASSERT_EQ(cuModuleLoadData(&module_, kKernelsPtx), CUDA_SUCCESS);
    ASSERT_EQ(cuModuleGetFunction(&spin_, module_, "spin"), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&stream_, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&free_stream_, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  }
  void TearDown() override {
    EXPECT_EQ(cuCtxSynchronize(), CUDA_SUCCESS);
    cuCtxSetCurrent(nullptr);
    cuDevicePrimaryCtxRelease_v2(0);
  }
  void Spin(CUstream stream, unsigned long long ns) const {
    void* params[] = {&ns};
    ASSERT_EQ(cuLaunchKernel(spin_, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr), CUDA_SUCCESS);
  }
  CUcontext ctx_{};
  CUmodule module_{};
  CUfunction spin_{};
  CUstream stream_{};
  CUstream free_stream_{};
};

TEST_F(Streams, AStreamWaitsForItsOwnWorkOnly) {
  Spin(stream_, 1 * kMs);
  Spin(free_stream_, 80 * kMs);
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery(free_stream_), CUDA_ERROR_NOT_READY);
}

TEST_F(Streams, TheLegacyStreamWaitsForBlockingStreams) {
  Spin(stream_, 20 * kMs);
  EXPECT_EQ(cuStreamQuery(nullptr), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(cuStreamSynchronize(nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_SUCCESS);
  Spin(free_stream_, 20 * kMs);
  EXPECT_EQ(cuStreamQuery(nullptr), CUDA_SUCCESS);
}

TEST_F(Streams, APerThreadStreamIsTheThreadsOwn) {
  unsigned long long ns = 40 * kMs;
  void* params[] = {&ns};
  ASSERT_EQ(cuLaunchKernel_ptsz(spin_, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr),
            CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery_ptsz(nullptr), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
  std::thread([&] {
    cuCtxSetCurrent(ctx_);
    EXPECT_EQ(cuStreamQuery_ptsz(nullptr), CUDA_SUCCESS);
  }).join();
  EXPECT_EQ(cuStreamSynchronize_ptsz(nullptr), CUDA_SUCCESS);
}

TEST_F(Streams, EventsMeasureGpuTime) {
  CUevent start = nullptr;
  CUevent end = nullptr;
  cuEventCreate(&start, 0);
  cuEventCreate(&end, 0);
  cuEventRecord(start, stream_);
  for (int i = 0; i < 10; ++i) Spin(stream_, 2 * kMs);
  cuEventRecord(end, stream_);
  EXPECT_EQ(cuEventQuery(end), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(cuEventSynchronize(end), CUDA_SUCCESS);
  float ms = 0;
  ASSERT_EQ(cuEventElapsedTime(&ms, start, end), CUDA_SUCCESS);
  EXPECT_GE(ms, 20.0F);
  EXPECT_LT(ms, 40.0F);
  CUevent silent = nullptr;
  cuEventCreate(&silent, CU_EVENT_DISABLE_TIMING);
  cuEventRecord(silent, stream_);
  EXPECT_EQ(cuEventElapsedTime(&ms, start, silent), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Streams, HostFunctionsRunInTheirPlace) {
  struct Seen {
    CUstream stream;
    CUresult before;
    std::atomic<int> calls{0};
  } seen{stream_, CUDA_SUCCESS, {}};
  Spin(stream_, 5 * kMs);
  ASSERT_EQ(cuLaunchHostFunc(
                stream_, [](void* data) { static_cast<Seen*>(data)->calls = 1; }, &seen),
            CUDA_SUCCESS);
  EXPECT_EQ(seen.calls, 0);
  Spin(stream_, 1 * kMs);
  cuStreamSynchronize(stream_);
  EXPECT_EQ(seen.calls, 1);
  ASSERT_EQ(cuStreamAddCallback(
                stream_,
                [](CUstream, CUresult status, void* data) {
                  static_cast<Seen*>(data)->calls = 10 + static_cast<int>(status);
                },
                &seen, 0),
            CUDA_SUCCESS);
  cuStreamSynchronize(stream_);
  EXPECT_EQ(seen.calls, 10);
}

TEST_F(Streams, CopiesOfPinnedMemoryWaitForTheirTurnOthersAreDoneAtOnce) {
  CUdeviceptr ptr = 0;
  void* pinned = nullptr;
  cuMemAlloc_v2(&ptr, 16);
  cuMemAllocHost_v2(&pinned, 16);
  auto* bytes = static_cast<char*>(pinned);
  bytes[0] = 1;
  Spin(stream_, 30 * kMs);
  ASSERT_EQ(cuMemcpyHtoDAsync_v2(ptr, pinned, 16, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_ERROR_NOT_READY) << "the call has not waited";
  bytes[0] = 2;  // before the copy's turn
  char pageable = 0;
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(&pageable, ptr, 1, stream_), CUDA_SUCCESS);
  EXPECT_EQ(pageable, 2) << "done when the call returns";
  cuMemFree_v2(ptr);
  cuMemFreeHost(pinned);
}

TEST_F(Streams, FreeWaitsForTheKernelsBeforeIt) {
  CUdeviceptr ptr = 0;
  cuMemAlloc_v2(&ptr, 16);
  Spin(stream_, 20 * kMs);
  const auto start = Clock::now();
  EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_SUCCESS);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
}

TEST_F(Streams, AStreamOfAnotherDeviceCanWaitForAnEvent) {
  CUevent event = nullptr;
  cuEventCreate(&event, 0);
  Spin(stream_, 50 * kMs);
  cuEventRecord(event, stream_);
  CUcontext other = nullptr;
  CUstream far = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&other, 0, 1), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamCreate(&far, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamWaitEvent(far, event, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamSynchronize(far), CUDA_SUCCESS);
  EXPECT_EQ(cuEventQuery(event), CUDA_SUCCESS);
  EXPECT_EQ(cuEventRecord(event, far), CUDA_ERROR_INVALID_HANDLE) << "not its context";
  cuCtxDestroy_v2(other);
  cuCtxSetCurrent(ctx_);
}

TEST_F(Streams, AContextThatEndsDropsItsWork) {
  CUcontext other = nullptr;
  CUmodule module = nullptr;
  CUfunction spin = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&other, 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuModuleLoadData(&module, kKernelsPtx), CUDA_SUCCESS);
  ASSERT_EQ(cuModuleGetFunction(&spin, module, "spin"), CUDA_SUCCESS);
  unsigned long long hour = 3600'000 * kMs;
  void* params[] = {&hour};
  EXPECT_EQ(cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, stream_, params, nullptr),
            CUDA_ERROR_INVALID_HANDLE)
      << "a stream of another context";
  ASSERT_EQ(cuLaunchKernel(spin, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxDestroy_v2(other), CUDA_SUCCESS);
  cuCtxSetCurrent(ctx_);
}

TEST_F(Streams, StaleHandlesAreRefused) {
  ASSERT_EQ(cuStreamDestroy_v2(stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamDestroy_v2(stream_), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuStreamQuery(reinterpret_cast<CUstream>(0x1234567)), CUDA_ERROR_INVALID_HANDLE);
  ASSERT_EQ(cuModuleUnload(module_), CUDA_SUCCESS);
  unsigned long long ns = 1;
  void* params[] = {&ns};
  EXPECT_EQ(cuLaunchKernel(spin_, 1, 1, 1, 1, 1, 1, 0, nullptr, params, nullptr),
            CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Streams, AGraphRunsItsKernelsInOneLaunch) {
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  CUgraphNode before = nullptr;
  const CUgraphNode stranger = reinterpret_cast<CUgraphNode>(8);
  CUgraphNode node = nullptr;
  unsigned long long ns = 5 * kMs;
  void* params[] = {&ns};
  const CUDA_KERNEL_NODE_PARAMS kernel{spin_, 1, 1,      1,       1,       1,
                                       1,     0, params, nullptr, nullptr, nullptr};
  ASSERT_EQ(cuGraphCreate(&graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphAddKernelNode_v2(&before, graph, nullptr, 0, &kernel), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphAddKernelNode_v2(&node, graph, &before, 1, &kernel), CUDA_SUCCESS);
  EXPECT_EQ(cuGraphAddEmptyNode(&node, graph, &stranger, 1), CUDA_ERROR_INVALID_VALUE)
      << "not a node of this graph";
  ASSERT_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_SUCCESS);
  cuGraphDestroy(graph);
  const auto start = Clock::now();
  ASSERT_EQ(cuGraphLaunch(exec, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamQuery(stream_), CUDA_ERROR_NOT_READY);
  cuStreamSynchronize(stream_);
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(10));
  EXPECT_EQ(cuGraphExecDestroy(exec), CUDA_SUCCESS);
}

TEST_F(Streams, ManyThreadsMayLaunchAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      cuCtxSetCurrent(ctx_);
      CUstream own = nullptr;
      cuStreamCreate(&own, 0);
      for (int n = 0; n < 500; ++n) Spin(own, 1000);
      EXPECT_EQ(cuStreamSynchronize(own), CUDA_SUCCESS);
      EXPECT_EQ(cuStreamQuery(own), CUDA_SUCCESS);
      cuStreamDestroy_v2(own);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tessera::sim::gpu
