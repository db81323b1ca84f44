// Everything that takes device memory takes exactly what it says, and gives it back.
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "common/abi/cuda_more.h"
#include "sim/gpu/kernels.h"
#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

constexpr std::size_t kMib = 1 << 20;
constexpr std::size_t kDeviceMib = 1024;

class Memory : public ::testing::Test {
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
    ASSERT_EQ(Used(), 0U) << "left over by another test";
  }
  void TearDown() override {
    cuCtxSetCurrent(nullptr);
    cuDevicePrimaryCtxRelease_v2(0);
  }
  static std::size_t Used() {
    std::size_t free = 0;
    std::size_t total = 0;
    EXPECT_EQ(cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
    EXPECT_EQ(total, kDeviceMib * kMib);
    return total - free;
  }
  static CUmemAllocationProp OnDevice() {
    CUmemAllocationProp prop{};
    prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    return prop;
  }
  CUcontext ctx_{};
};

TEST_F(Memory, IsChargedInUnitsOf512Bytes) {
  const std::size_t cases[][2] = {
      {1, 512}, {512, 512}, {513, 1024}, {kMib, kMib}, {kMib + 1, kMib + 512}};
  for (const auto& [bytes, want] : cases) {
    CUdeviceptr ptr = 0;
    ASSERT_EQ(cuMemAlloc_v2(&ptr, bytes), CUDA_SUCCESS);
    EXPECT_EQ(ptr % 512, 0U);
    EXPECT_EQ(Used(), want);
    ASSERT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
    EXPECT_EQ(Used(), 0U);
  }
}

TEST_F(Memory, IsRefusedExactlyAtTheEnd) {
  CUdeviceptr all = 0;
  CUdeviceptr more = 0;
  ASSERT_EQ(cuMemAlloc_v2(&all, kDeviceMib * kMib), CUDA_SUCCESS);
  EXPECT_EQ(cuMemAlloc_v2(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_EQ(cuMemFree_v2(all), CUDA_SUCCESS);
  EXPECT_EQ(cuMemAlloc_v2(&all, kDeviceMib * kMib + 1), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(Used(), 0U);
}

TEST_F(Memory, HolesBetweenBlocksDoNotRefuseWhatFitsInSum) {
  std::vector<CUdeviceptr> blocks(kDeviceMib);
  for (CUdeviceptr& block : blocks) ASSERT_EQ(cuMemAlloc_v2(&block, kMib), CUDA_SUCCESS);
  for (std::size_t i = 0; i < blocks.size(); i += 2) cuMemFree_v2(blocks[i]);
  CUdeviceptr large = 0;
  EXPECT_EQ(cuMemAlloc_v2(&large, kDeviceMib / 2 * kMib), CUDA_SUCCESS);
  cuMemFree_v2(large);
  for (std::size_t i = 1; i < blocks.size(); i += 2) cuMemFree_v2(blocks[i]);
}

TEST_F(Memory, OfTheOldAndTheSpecialCallsCountsToo) {
  CUdeviceptr_v1 low = 0;
  ASSERT_EQ(cuMemAlloc(&low, 1000), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 1024U);
  EXPECT_EQ(cuMemsetD8_v2(low, 7, 1000), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree(low), CUDA_SUCCESS);

  CUdeviceptr ptr = 0;
  std::size_t pitch = 0;
  ASSERT_EQ(cuMemAllocPitch_v2(&ptr, &pitch, 100, 10, 4), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 5120U);
  cuMemFree_v2(ptr);
  EXPECT_EQ(cuMemAllocPitch_v2(&ptr, &pitch, SIZE_MAX / 2, 8, 4), CUDA_ERROR_OUT_OF_MEMORY);

  void* host = nullptr;
  ASSERT_EQ(cuMemHostAlloc(&host, kMib, 0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0U) << "the host's own";
  cuMemFreeHost(host);
}

TEST_F(Memory, ManagedIsTheHostsAndMayExceedTheDevice) {
  std::size_t device = 0;
  ASSERT_EQ(cuDeviceTotalMem_v2(&device, 0), CUDA_SUCCESS);
  CUdeviceptr ptr = 0;
  ASSERT_EQ(cuMemAllocManaged(&ptr, device + kMib, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0U);
  CUdeviceptr other = 0;
  EXPECT_EQ(cuMemAlloc_v2(&other, device), CUDA_SUCCESS) << "it stands in nobody's way";
  cuMemFree_v2(other);
  const CUdeviceptr end = ptr + device;
  std::memset(reinterpret_cast<void*>(end), 1, kMib);  // the host may write it
  char read = 0;
  EXPECT_EQ(cuMemcpyDtoH_v2(&read, end + kMib - 1, 1), CUDA_SUCCESS);
  EXPECT_EQ(read, 1);
  EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree_v2(ptr), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Memory, AdviceIsForManagedMemoryAlone) {
  CUdeviceptr managed = 0;
  CUdeviceptr plain = 0;
  ASSERT_EQ(cuMemAllocManaged(&managed, kMib, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAlloc_v2(&plain, kMib), CUDA_SUCCESS);
  const auto advise = [](CUdeviceptr ptr, std::size_t bytes, int advice, CUdevice device) {
    return cuMemAdvise(ptr, bytes, static_cast<CUmem_advise>(advice), device);
  };
  EXPECT_EQ(advise(managed, kMib, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, 0), CUDA_SUCCESS);
  EXPECT_EQ(advise(managed + 1, kMib - 1, CU_MEM_ADVISE_SET_ACCESSED_BY, -1), CUDA_SUCCESS);
  EXPECT_EQ(advise(plain, kMib, CU_MEM_ADVISE_SET_ACCESSED_BY, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(advise(managed, kMib + 1, CU_MEM_ADVISE_SET_ACCESSED_BY, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(advise(managed, 0, CU_MEM_ADVISE_SET_ACCESSED_BY, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(advise(managed, kMib, 7, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(advise(managed, kMib, CU_MEM_ADVISE_SET_ACCESSED_BY, 99), CUDA_ERROR_INVALID_DEVICE);
  cuMemFree_v2(managed);
  cuMemFree_v2(plain);
}

TEST_F(Memory, OfArraysCountsToo) {
  CUarray array = nullptr;
  const CUDA_ARRAY_DESCRIPTOR flat{1024, 1024, CU_AD_FORMAT_FLOAT, 1};
  ASSERT_EQ(cuArrayCreate_v2(&array, &flat), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 4 * kMib);
  ASSERT_EQ(cuArrayDestroy(array), CUDA_SUCCESS);
  EXPECT_EQ(cuArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);

  const CUDA_ARRAY3D_DESCRIPTOR solid{64, 64, 64, CU_AD_FORMAT_HALF, 4, 0};
  ASSERT_EQ(cuArray3DCreate_v2(&array, &solid), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 64U * 64 * 64 * 8);
  cuArrayDestroy(array);

  CUmipmappedArray mipmapped = nullptr;
  ASSERT_EQ(cuMipmappedArrayCreate(&mipmapped, &solid, 2), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 64U * 64 * 64 * 8 + 32 * 32 * 32 * 8);
  CUarray level = nullptr;
  EXPECT_EQ(cuMipmappedArrayGetLevel(&level, mipmapped, 1), CUDA_SUCCESS);
  EXPECT_EQ(cuMipmappedArrayGetLevel(&level, mipmapped, 2), CUDA_ERROR_INVALID_VALUE);
  ASSERT_EQ(cuMipmappedArrayDestroy(mipmapped), CUDA_SUCCESS);
  const CUDA_ARRAY3D_DESCRIPTOR huge{4096, 4096, 64, CU_AD_FORMAT_FLOAT, 4, 0};
  EXPECT_EQ(cuArray3DCreate_v2(&array, &huge), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(Used(), 0U);
}

TEST_F(Memory, OfModulesCountsToo) {
  CUmodule module = nullptr;
  ASSERT_EQ(cuModuleLoadData(&module, kKernelsPtx), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 4096U);
  ASSERT_EQ(cuModuleUnload(module), CUDA_SUCCESS);
  EXPECT_EQ(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(Used(), 0U);
}

TEST_F(Memory, OfAPoolIsWhatThePoolHasReserved) {
  CUdeviceptr one = 0;
  CUdeviceptr two = 0;
  ASSERT_EQ(cuMemAllocAsync(&one, kMib, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocAsync(&two, kMib, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 32 * kMib);
  ASSERT_EQ(cuMemFreeAsync(one, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cuMemFreeAsync(two, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 32 * kMib) << "kept until the next synchronisation";
  cuStreamSynchronize(nullptr);
  EXPECT_EQ(Used(), 0U);

  CUmemoryPool pool = nullptr;
  cuuint64_t threshold = 64 * kMib;
  cuDeviceGetDefaultMemPool(&pool, 0);
  cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold);
  ASSERT_EQ(cuMemAllocAsync(&one, 40 * kMib, nullptr), CUDA_SUCCESS);
  cuMemFreeAsync(one, nullptr);
  cuCtxSynchronize();
  EXPECT_EQ(Used(), 64 * kMib);
  EXPECT_EQ(cuMemPoolTrimTo(pool, 0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0U);
  threshold = 0;
  cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold);
}

TEST_F(Memory, OfAPoolIsReusedBeforeItIsRefused) {
  CUdeviceptr small = 0;
  CUdeviceptr large = 0;
  ASSERT_EQ(cuMemAllocAsync(&small, 600 * kMib, nullptr), CUDA_SUCCESS);
  cuMemFreeAsync(small, nullptr);
  EXPECT_EQ(cuMemAllocAsync(&large, 1000 * kMib, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuMemAllocAsync(&small, 100 * kMib, nullptr), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cuMemFree_v2(large), CUDA_SUCCESS);
  cuCtxSynchronize();
  EXPECT_EQ(Used(), 0U);
}

TEST_F(Memory, OfAnOwnPoolOutlivesThePool) {
  CUmemPoolProps props{};
  props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  CUmemoryPool pool = nullptr;
  CUdeviceptr ptr = 0;
  ASSERT_EQ(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocFromPoolAsync(&ptr, kMib, pool, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cuMemPoolDestroy(pool), CUDA_SUCCESS);
  EXPECT_EQ(cuMemPoolDestroy(pool), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(Used(), 32 * kMib);
  EXPECT_EQ(cuMemFreeAsync(ptr, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0U);
}

TEST_F(Memory, OfCuMemCreateCountsWhileAHandleOrAMappingHoldsIt) {
  const CUmemAllocationProp prop = OnDevice();
  CUmemGenericAllocationHandle handle = 0;
  CUdeviceptr ptr = 0;
  const std::size_t bytes = 4 * kMib;
  ASSERT_EQ(cuMemCreate(&handle, bytes, &prop, 0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), bytes);
  ASSERT_EQ(cuMemAddressReserve(&ptr, 2 * bytes, 0, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), bytes) << "addresses cost nothing";
  ASSERT_EQ(cuMemMap(ptr, bytes, 0, handle, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuMemMap(ptr + bytes, bytes, 0, handle, 0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), bytes) << "one memory, mapped twice";
  ASSERT_EQ(cuMemRelease(handle), CUDA_SUCCESS);
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0},
                               CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  ASSERT_EQ(cuMemSetAccess(ptr, 2 * bytes, &access, 1), CUDA_SUCCESS);
  const unsigned int wrote = 0x01020304;
  unsigned int read = 0;
  ASSERT_EQ(cuMemcpyHtoD_v2(ptr, &wrote, 4), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyDtoH_v2(&read, ptr + bytes, 4), CUDA_SUCCESS);
  EXPECT_EQ(read, wrote) << "both mappings show it";
  EXPECT_EQ(cuMemsetD8_v2(ptr + bytes - 8, 0, 16), CUDA_SUCCESS) << "over the seam of two mappings";
  ASSERT_EQ(cuMemUnmap(ptr, bytes), CUDA_SUCCESS);
  EXPECT_EQ(Used(), bytes);
  ASSERT_EQ(cuMemUnmap(ptr + bytes, bytes), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0U);
  EXPECT_EQ(cuMemAddressFree(ptr, 2 * bytes), CUDA_SUCCESS);
  EXPECT_EQ(cuMemCreate(&handle, 2048 * kMib, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(Memory, GoesBackWithItsContext) {
  CUcontext ctx = nullptr;
  CUdeviceptr ptr = 0;
  CUmodule module = nullptr;
  CUarray array = nullptr;
  const CUDA_ARRAY_DESCRIPTOR flat{64, 64, CU_AD_FORMAT_FLOAT, 1};
  ASSERT_EQ(cuCtxCreate_v2(&ctx, 0, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAlloc_v2(&ptr, kMib), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAllocAsync(&ptr, kMib, nullptr), CUDA_SUCCESS);
  ASSERT_EQ(cuModuleLoadData(&module, kKernelsPtx), CUDA_SUCCESS);
  ASSERT_EQ(cuArrayCreate_v2(&array, &flat), CUDA_SUCCESS);
  EXPECT_GT(Used(), 33 * kMib);
  ASSERT_EQ(cuCtxDestroy_v2(ctx), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxSetCurrent(ctx_), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0U);
  EXPECT_EQ(cuMemFree_v2(ptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(Memory, IsFreedByAThreadWithAnotherContext) {
  CUdeviceptr ptr = 0;
  ASSERT_EQ(cuMemAlloc_v2(&ptr, kMib), CUDA_SUCCESS);
  std::thread([&] {
    CUcontext own = nullptr;
    ASSERT_EQ(cuCtxCreate_v2(&own, 0, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
    cuCtxDestroy_v2(own);
  }).join();
  EXPECT_EQ(Used(), 0U);
}

TEST_F(Memory, ThreadsRaceForItExactly) {
  std::atomic<int> got{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      cuCtxSetCurrent(ctx_);
      CUdeviceptr ptr = 0;
      for (int n = 0; n < 200; ++n) {
        if (cuMemAlloc_v2(&ptr, kMib) == CUDA_SUCCESS) ++got;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, static_cast<int>(kDeviceMib));
  cuDevicePrimaryCtxReset_v2(0);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&ctx_, 0), CUDA_SUCCESS);
  EXPECT_EQ(Used(), 0U);
}

TEST_F(Memory, HoldsTheBytesThatWereCopiedIntoIt) {
  CUdeviceptr one = 0;
  CUdeviceptr two = 0;
  std::vector<unsigned char> host(kMib);
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<unsigned char>(i * 7);
  ASSERT_EQ(cuMemAlloc_v2(&one, kMib), CUDA_SUCCESS);
  ASSERT_EQ(cuMemAlloc_v2(&two, kMib), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyHtoD_v2(one, host.data(), kMib), CUDA_SUCCESS);
  ASSERT_EQ(cuMemcpyDtoDAsync_v2(two, one, kMib, nullptr), CUDA_SUCCESS);
  std::vector<unsigned char> back(kMib);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(back.data(), two, kMib, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(back, host);
  EXPECT_EQ(cuMemcpyHtoD_v2(one, host.data(), kMib + 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemsetD16_v2(one + kMib - 2, 1, 2), CUDA_ERROR_INVALID_VALUE);
  cuMemFree_v2(one);
  EXPECT_EQ(cuMemcpyHtoD_v2(one, host.data(), 1), CUDA_ERROR_INVALID_VALUE) << "it is gone";
  cuMemFree_v2(two);
}

TEST_F(Memory, CopiesRectanglesAlsoThroughArrays) {
  CUarray array = nullptr;
  const CUDA_ARRAY_DESCRIPTOR flat{8, 4, CU_AD_FORMAT_UNSIGNED_INT8, 1};
  ASSERT_EQ(cuArrayCreate_v2(&array, &flat), CUDA_SUCCESS);
  const char from[] = "abcdefghijklmnopqrstuvwxyz012345";
  CUDA_MEMCPY2D in{};
  in.srcMemoryType = CU_MEMORYTYPE_HOST;
  in.srcHost = from;
  in.srcPitch = 8;
  in.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  in.dstArray = array;
  in.WidthInBytes = 8;
  in.Height = 4;
  ASSERT_EQ(cuMemcpy2D_v2(&in), CUDA_SUCCESS);
  char to[7] = {};
  CUDA_MEMCPY2D out{};
  out.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  out.srcArray = array;
  out.srcXInBytes = 2;
  out.srcY = 1;
  out.dstMemoryType = CU_MEMORYTYPE_HOST;
  out.dstHost = to;
  out.dstPitch = 3;
  out.WidthInBytes = 3;
  out.Height = 2;
  ASSERT_EQ(cuMemcpy2D_v2(&out), CUDA_SUCCESS);
  EXPECT_STREQ(to, "klmstu");
  out.srcY = 3;
  EXPECT_EQ(cuMemcpy2D_v2(&out), CUDA_ERROR_INVALID_VALUE);
  cuArrayDestroy(array);
}

}  // namespace
}  // namespace tessera::sim::gpu
