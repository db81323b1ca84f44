#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "common/abi/cuda.h"
#include "common/abi/cuda_green.h"
#include "common/abi/cuda_more.h"
#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

constexpr std::size_t kMib = 1 << 20;

std::size_t Free() {
  std::size_t free = 0;
  std::size_t total = 0;
  return cuMemGetInfo_v2(&free, &total) == CUDA_SUCCESS ? free : 0;
}

/// Of 8 multiprocessors. Null: out of memory.
CUgreenCtx Green() {
  CUdevResource all{};
  CUdevResource part{};
  CUdevResourceDesc desc{};
  CUgreenCtx green{};
  unsigned int groups = 1;
  EXPECT_EQ(cuDeviceGetDevResource(0, &all, CU_DEV_RESOURCE_TYPE_SM), CUDA_SUCCESS);
  EXPECT_EQ(cuDevSmResourceSplitByCount(&part, &groups, &all, nullptr, 0, 8), CUDA_SUCCESS);
  EXPECT_EQ(cuDevResourceGenerateDesc(&desc, &part, 1), CUDA_SUCCESS);
  const CUresult result = cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM);
  return result == CUDA_SUCCESS ? green : nullptr;
}

/// The primary context, held and current.
void UsePrimary() {
  CUcontext primary{};
  EXPECT_EQ(cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSetCurrent(primary), CUDA_SUCCESS);
}

class GreenContext : public ::testing::Test {
 protected:
  /// In a child, with a driver of its own.
  void Run(const std::string& options, const std::function<void()>& body) {
    const auto config = folder_.Write(
        "gpus", "gpu uuid=GPU-00000000-0000-4000-8000-000000000000 memory_mib=1024 sms=132 " +
                    options +
                    "\ngpu uuid=GPU-00000000-0000-4000-8000-000000000001 memory_mib=1024\n");
    setenv("TESSERA_SIM_GPUS", config.c_str(), 1);
    setenv("TESSERA_SIM_STATE", folder_.path().c_str(), 1);
    const pid_t pid = fork();
    if (pid == 0) {
      EXPECT_EQ(cuInit(0), CUDA_SUCCESS);
      body();
      _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }

  Folder folder_;
};

TEST_F(GreenContext, IsAPartOfItsPrimaryContext) {
  Run("green_mib=40", [] {
    CUdevResource all{};
    EXPECT_EQ(cuDeviceGetDevResource(0, &all, CU_DEV_RESOURCE_TYPE_SM), CUDA_SUCCESS);
    EXPECT_EQ(all.sm.smCount, 132U);
    unsigned int groups = 0;
    EXPECT_EQ(cuDevSmResourceSplitByCount(nullptr, &groups, &all, nullptr, 0, 30), CUDA_SUCCESS);
    EXPECT_EQ(groups, 4U) << "of 32, the next multiple of 8";
    CUdevResource part{};
    CUdevResource rest{};
    groups = 1;
    EXPECT_EQ(cuDevSmResourceSplitByCount(&part, &groups, &all, &rest, 0, 30), CUDA_SUCCESS);
    EXPECT_EQ(part.sm.smCount, 32U);
    EXPECT_EQ(rest.sm.smCount, 100U);
    EXPECT_EQ(cuDevSmResourceSplitByCount(&part, &groups, &all, &rest, 0, 133),
              CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
    CUdevResourceDesc desc{};
    EXPECT_EQ(cuDevResourceGenerateDesc(&desc, &part, 1), CUDA_SUCCESS);
    CUgreenCtx green{};
    EXPECT_EQ(cuGreenCtxCreate(&green, desc, 0, 0), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuGreenCtxCreate(&green, desc, 1, CU_GREEN_CTX_DEFAULT_STREAM),
              CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM), CUDA_SUCCESS);
    unsigned int flags = 0;
    int active = 0;
    EXPECT_EQ(cuDevicePrimaryCtxGetState(0, &flags, &active), CUDA_SUCCESS);
    EXPECT_EQ(active, 1) << "it holds the primary context";
    CUcontext ctx{};
    EXPECT_EQ(cuCtxFromGreenCtx(&ctx, green), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxDestroy_v2(ctx), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuCtxSetCurrent(ctx), CUDA_SUCCESS);
    CUdevice device = -1;
    EXPECT_EQ(cuCtxGetDevice(&device), CUDA_SUCCESS);
    EXPECT_EQ(device, 0);
    EXPECT_EQ(Free(), 984 * kMib);
    CUstream stream{};
    CUgreenCtx owner{};
    EXPECT_EQ(cuGreenCtxStreamCreate(&stream, green, CU_STREAM_NON_BLOCKING, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamGetGreenCtx(stream, &owner), CUDA_SUCCESS);
    EXPECT_EQ(owner, green);
    CUdeviceptr ptr{};
    EXPECT_EQ(cuMemAlloc_v2(&ptr, kMib), CUDA_SUCCESS);
    CUcontext primary{};
    EXPECT_EQ(cuDevicePrimaryCtxRetain(&primary, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuGreenCtxDestroy(green), CUDA_SUCCESS);
    EXPECT_EQ(cuGreenCtxDestroy(green), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(cuCtxSetCurrent(primary), CUDA_SUCCESS);
    EXPECT_EQ(Free(), 1023 * kMib) << "memory is the primary context's";
    EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
  });
}

TEST_F(GreenContext, LeavesWhatStaysUntilThePrimaryContextEnds) {
  Run("green_mib=40 green_left_mib=4", [] {
    UsePrimary();
    for (std::size_t i = 1; i <= 3; ++i) {
      CUgreenCtx const green = Green();
      EXPECT_EQ(Free(), (1024 - 4 * i - 36) * kMib);
      EXPECT_EQ(cuGreenCtxDestroy(green), CUDA_SUCCESS);
      EXPECT_EQ(cuGreenCtxDestroy(green), CUDA_ERROR_INVALID_CONTEXT);
      EXPECT_EQ(Free(), (1024 - 4 * i) * kMib);
    }
    EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
    UsePrimary();
    EXPECT_EQ(Free(), 1024 * kMib);
    CUgreenCtx const outlives = Green();
    EXPECT_EQ(cuDevicePrimaryCtxReset_v2(0), CUDA_SUCCESS);
    EXPECT_EQ(cuGreenCtxDestroy(outlives), CUDA_SUCCESS);
    UsePrimary();
    EXPECT_EQ(Free(), 1024 * kMib) << "nothing to leave it with";
  });
}

TEST_F(GreenContext, LeavesNoMoreThanItHas) {
  Run("green_mib=3 green_left_mib=4", [] {
    UsePrimary();
    EXPECT_EQ(cuGreenCtxDestroy(Green()), CUDA_SUCCESS);
    EXPECT_EQ(Free(), 1021 * kMib);
  });
}

TEST_F(GreenContext, MayTakeWhatAnotherHasLeft) {
  Run("green_mib=40 green_left_mib=4 green_reuse=1", [] {
    UsePrimary();
    for (int i = 0; i < 3; ++i) {
      CUgreenCtx const green = Green();
      EXPECT_EQ(Free(), 984 * kMib);
      EXPECT_EQ(cuGreenCtxDestroy(green), CUDA_SUCCESS);
      EXPECT_EQ(Free(), 1020 * kMib);
    }
    CUdeviceptr ptr{};
    EXPECT_EQ(cuMemAlloc_v2(&ptr, 985 * kMib), CUDA_SUCCESS);
    EXPECT_EQ(Green(), nullptr);
    EXPECT_EQ(Free(), 35 * kMib) << "a refusal leaves it where it was";
    EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
    EXPECT_NE(Green(), nullptr);
    EXPECT_EQ(Free(), 984 * kMib);
  });
}

}  // namespace
}  // namespace tessera::sim::gpu
