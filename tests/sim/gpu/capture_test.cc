// Stream capture and graphs that allocate, as CUDA documents them.
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "common/abi/cuda_more.h"
#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

constexpr std::size_t kMiB = 1 << 20;

class Captures : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const Folder folder;
    const auto config =
        folder.Write("gpus", "gpu uuid=GPU-00000000-0000-4000-8000-000000000000 memory_mib=1024\n");
    setenv("TESSERA_SIM_GPUS", config.c_str(), 1);
    setenv("TESSERA_SIM_STATE", folder.path().c_str(), 1);
    ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  }
  void SetUp() override {
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&ctx_, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxSetCurrent(ctx_), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&stream_, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuStreamCreate(&other_, 0), CUDA_SUCCESS);
    ASSERT_EQ(cuEventCreate(&event_, 0), CUDA_SUCCESS);
  }
  void TearDown() override {
    cuCtxSetCurrent(nullptr);
    cuDevicePrimaryCtxReset_v2(0);
  }
  void Begin(CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) const {
    ASSERT_EQ(cuStreamBeginCapture_v2(stream_, mode), CUDA_SUCCESS);
  }
  static std::size_t Used() {
    std::size_t free = 0;
    std::size_t total = 0;
    cuMemGetInfo_v2(&free, &total);
    return total - free;
  }
  CUcontext ctx_{};
  CUstream stream_{};
  CUstream other_{};
  CUevent event_{};
  CUgraph graph_{};
  CUgraphExec exec_{};
};

TEST_F(Captures, WorkBecomesNodesAndRunsWhenTheGraphIsLaunched) {
  CUdeviceptr ptr = 0;
  unsigned char byte = 0;
  ASSERT_EQ(cuMemAlloc_v2(&ptr, 1), CUDA_SUCCESS);
  cuMemsetD8_v2(ptr, 1, 1);
  CUstreamCaptureStatus status{};
  EXPECT_EQ(cuStreamIsCapturing(stream_, &status), CUDA_SUCCESS);
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
  Begin();
  EXPECT_EQ(cuStreamIsCapturing(stream_, &status), CUDA_SUCCESS);
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
  EXPECT_EQ(cuStreamBeginCapture_v2(stream_, CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_ERROR_ILLEGAL_STATE);
  EXPECT_EQ(cuMemsetD8Async(ptr, 7, 1, stream_), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_SUCCESS);
  cuMemcpyDtoH_v2(&byte, ptr, 1);
  EXPECT_EQ(byte, 1) << "not yet";
  std::size_t nodes = 0;
  EXPECT_EQ(cuGraphGetNodes(graph_, nullptr, &nodes), CUDA_SUCCESS);
  EXPECT_EQ(nodes, 1u);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&exec_, graph_, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphLaunch(exec_, stream_), CUDA_SUCCESS);
  cuStreamSynchronize(stream_);
  cuMemcpyDtoH_v2(&byte, ptr, 1);
  EXPECT_EQ(byte, 7);
}

TEST_F(Captures, WaitingForTheStreamSpoilsIt) {
  Begin();
  EXPECT_EQ(cuStreamSynchronize(stream_), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CUstreamCaptureStatus status{};
  cuStreamIsCapturing(stream_, &status);
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  EXPECT_EQ(graph_, nullptr);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_ERROR_ILLEGAL_STATE);
  Begin();
  EXPECT_EQ(cuCtxSynchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(Captures, UnsafeCallsFollowTheModes) {
  CUdeviceptr ptr = 0;
  Begin();
  EXPECT_EQ(cuMemAlloc_v2(&ptr, 1), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  Begin();
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  EXPECT_EQ(cuThreadExchangeStreamCaptureMode(&mode), CUDA_SUCCESS);
  EXPECT_EQ(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
  EXPECT_EQ(cuMemAlloc_v2(&ptr, 1), CUDA_SUCCESS);
  cuThreadExchangeStreamCaptureMode(&mode);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_SUCCESS);
  Begin(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  std::thread([&] {
    cuCtxSetCurrent(ctx_);
    EXPECT_EQ(cuMemAlloc_v2(&ptr, 1), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  }).join();
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_SUCCESS);
}

TEST_F(Captures, OtherStreamsJoinByEventsAndMustBeJoined) {
  Begin();
  ASSERT_EQ(cuEventRecord(event_, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuEventQuery(event_), CUDA_ERROR_CAPTURED_EVENT);
  ASSERT_EQ(cuStreamWaitEvent(other_, event_, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamEndCapture(other_, &graph_), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
  ASSERT_EQ(cuEventRecord(event_, other_), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamWaitEvent(stream_, event_, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_SUCCESS);
  Begin();
  cuEventRecord(event_, stream_);
  cuStreamWaitEvent(other_, event_, 0);
  EXPECT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  CUstreamCaptureStatus status{};
  cuStreamIsCapturing(other_, &status);
  EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
}

TEST_F(Captures, AllocationsOfAGraphLiveFromLaunchToFree) {
  CUdeviceptr ptr = 0;
  Begin();
  ASSERT_EQ(cuMemAllocAsync(&ptr, kMiB, stream_), CUDA_SUCCESS);
  ASSERT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0u);
  EXPECT_EQ(cuMemFree_v2(ptr), CUDA_ERROR_INVALID_VALUE) << "not allocated yet";
  ASSERT_EQ(cuGraphInstantiateWithFlags(&exec_, graph_, 0), CUDA_SUCCESS);
  CUgraphExec second = nullptr;
  EXPECT_EQ(cuGraphInstantiateWithFlags(&second, graph_, 0), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(cuGraphUpload(exec_, stream_), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 32 * kMiB);
  EXPECT_EQ(cuGraphLaunch(exec_, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuGraphLaunch(exec_, stream_), CUDA_ERROR_INVALID_VALUE) << "it is still allocated";
  EXPECT_EQ(cuDeviceGraphMemTrim(0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 32 * kMiB) << "in use";
  EXPECT_EQ(cuMemFreeAsync(ptr, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFreeAsync(ptr, stream_), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuDeviceGraphMemTrim(0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0u);
}

TEST_F(Captures, AGraphThatDoesNotFitIsRefusedAtItsLaunch) {
  CUdeviceptr ptr = 0;
  Begin();
  ASSERT_EQ(cuMemAllocAsync(&ptr, 2048 * kMiB, stream_), CUDA_SUCCESS);
  ASSERT_EQ(cuMemFreeAsync(ptr, stream_), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFreeAsync(ptr, stream_), CUDA_ERROR_INVALID_VALUE);
  ASSERT_EQ(cuStreamEndCapture(stream_, &graph_), CUDA_SUCCESS);
  ASSERT_EQ(cuGraphInstantiateWithFlags(&exec_, graph_, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuGraphLaunch(exec_, stream_), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(Used(), 0u);
}

TEST_F(Captures, TheLegacyStreamCannotBeCaptured) {
  EXPECT_EQ(cuStreamBeginCapture_v2(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(cuStreamBeginCapture_v2_ptsz(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamEndCapture_ptsz(nullptr, &graph_), CUDA_SUCCESS);
}

}  // namespace
}  // namespace tessera::sim::gpu
