// Memory that leaves its process: two processes, one device. The maker makes, the taker (a child
// that was forked before CUDA) takes; they talk through pipes.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>

#include <gtest/gtest.h>

#include "common/abi/cuda_more.h"
#include "common/abi/cuda_share.h"
#include "tests/sim/gpu/folder.h"

namespace tessera::sim::gpu {
namespace {

constexpr std::size_t kMib = 1 << 20;
constexpr auto kDescriptor = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

void StartCuda(int device = 0) {
  CUcontext ctx{};
  if (cuInit(0) != CUDA_SUCCESS || cuDevicePrimaryCtxRetain(&ctx, device) != CUDA_SUCCESS ||
      cuCtxSetCurrent(ctx) != CUDA_SUCCESS) {
    _exit(90);
  }
}

std::size_t Free() {
  std::size_t free = 0;
  std::size_t total = 0;
  return cuMemGetInfo_v2(&free, &total) == CUDA_SUCCESS ? free : 0;
}

/// One end of a conversation with the other process.
struct Line {
  /// False once the other one has ended, and nothing it said is left to hear.
  bool IsThere() const {
    char none = 0;
    return read(in, &none, 1) == 1;
  }
  int in;
  int out;
  template <typename Value>
  void Say(const Value& value) const {
    if (write(out, &value, sizeof(value)) != sizeof(value)) _exit(91);
  }
  template <typename Value>
  Value Hear() const {
    Value value{};
    if (read(in, &value, sizeof(value)) != sizeof(value)) _exit(92);
    return value;
  }
};

class Sharing : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto config =
        folder_.Write("gpus",
                      "gpu uuid=GPU-00000000-0000-4000-8000-000000000000 memory_mib=1024\n"
                      "gpu uuid=GPU-00000000-0000-4000-8000-000000000001 memory_mib=1024\n");
    setenv("TESSERA_SIM_GPUS", config.c_str(), 1);
    setenv("TESSERA_SIM_STATE", folder_.path().c_str(), 1);
  }
  /// Both run in children of the test's process, so that each starts CUDA by itself.
  void Run(const std::function<void(Line)>& maker, const std::function<void(Line)>& taker,
           int end_of_maker = 0) {
    int to_taker[2];
    int to_maker[2];
    ASSERT_EQ(pipe(to_taker), 0);
    ASSERT_EQ(pipe(to_maker), 0);
    const pid_t first = Start([&] {
      for (const int fd : {to_taker[0], to_maker[1]}) close(fd);
      maker({to_maker[0], to_taker[1]});
    });
    const pid_t second = Start([&] {
      for (const int fd : {to_taker[1], to_maker[0]}) close(fd);
      taker({to_taker[0], to_maker[1]});
    });
    for (const int fd : {to_taker[0], to_taker[1], to_maker[0], to_maker[1]}) close(fd);
    EXPECT_EQ(ExitOf(second), 0) << "the taker";
    EXPECT_EQ(ExitOf(first), end_of_maker) << "the maker";
  }
  static pid_t Start(const std::function<void()>& body) {
    const pid_t pid = fork();
    if (pid == 0) {
      body();
      _exit(HasFailure() ? 1 : 0);
    }
    return pid;
  }
  static int ExitOf(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  Folder folder_;
};

struct Offer {
  CUipcMemHandle handle;
  std::size_t free;
};

TEST_F(Sharing, AnAllocationShowsItsBytesInAnotherProcess) {
  for (const std::size_t bytes : {std::size_t{100}, 4 * kMib}) {
    Run(
        [&](Line line) {
          StartCuda();
          CUdeviceptr unused{};
          CUdeviceptr ptr{};
          EXPECT_EQ(cuMemAlloc_v2(&unused, 300), CUDA_SUCCESS);
          EXPECT_EQ(cuMemAlloc_v2(&ptr, bytes), CUDA_SUCCESS);
          EXPECT_EQ(cuMemsetD8_v2(ptr, 7, bytes), CUDA_SUCCESS);
          Offer offer{};
          EXPECT_EQ(cuIpcGetMemHandle(&offer.handle, ptr), CUDA_SUCCESS);
          offer.free = Free();
          line.Say(offer);
          line.Hear<int>();
          unsigned char seen = 0;
          EXPECT_EQ(cuMemcpyDtoH_v2(&seen, ptr + bytes - 1, 1), CUDA_SUCCESS);
          EXPECT_EQ(seen, 9);
          EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
          line.Say(1);
          line.Hear<int>();
        },
        [&](Line line) {
          StartCuda();
          const auto offer = line.Hear<Offer>();
          CUdeviceptr ptr{};
          CUdeviceptr again{};
          EXPECT_EQ(cuIpcOpenMemHandle_v2(&ptr, offer.handle, 0), CUDA_ERROR_INVALID_VALUE);
          EXPECT_EQ(cuIpcOpenMemHandle_v2(&ptr, offer.handle, 1), CUDA_SUCCESS);
          EXPECT_EQ(cuIpcOpenMemHandle_v2(&again, offer.handle, 1), CUDA_SUCCESS);
          EXPECT_EQ(ptr, again);
          EXPECT_EQ(Free(), offer.free) << "it is the maker's";
          unsigned char seen = 0;
          EXPECT_EQ(cuMemcpyDtoH_v2(&seen, ptr, 1), CUDA_SUCCESS);
          EXPECT_EQ(seen, 7);
          EXPECT_EQ(cuMemsetD8_v2(ptr + bytes - 1, 9, 1), CUDA_SUCCESS);
          EXPECT_EQ(cuMemFree_v2(ptr), CUDA_ERROR_INVALID_VALUE);
          CUipcMemHandle none{};
          EXPECT_EQ(cuIpcGetMemHandle(&none, ptr), CUDA_ERROR_INVALID_VALUE);
          EXPECT_EQ(cuIpcOpenMemHandle_v2(&again, none, 1), CUDA_ERROR_INVALID_VALUE);
          EXPECT_EQ(cuIpcCloseMemHandle(ptr), CUDA_SUCCESS);
          EXPECT_EQ(cuMemcpyDtoH_v2(&seen, ptr, 1), CUDA_SUCCESS) << "opened twice";
          EXPECT_EQ(cuIpcCloseMemHandle(ptr), CUDA_SUCCESS);
          EXPECT_EQ(cuIpcCloseMemHandle(ptr), CUDA_ERROR_INVALID_VALUE);
          line.Say(1);
          line.Hear<int>();
          EXPECT_EQ(cuIpcOpenMemHandle_v2(&ptr, offer.handle, 1), CUDA_ERROR_INVALID_HANDLE)
              << "freed by its maker";
          line.Say(1);
        });
  }
}

TEST_F(Sharing, AnImportEndsWithItsContextAndAHandleWithItsMaker) {
  Run(
      [&](Line line) {
        StartCuda();
        CUdeviceptr ptr{};
        Offer offer{};
        EXPECT_EQ(cuMemAlloc_v2(&ptr, kMib), CUDA_SUCCESS);
        EXPECT_EQ(cuIpcGetMemHandle(&offer.handle, ptr + 77), CUDA_SUCCESS);
        CUdeviceptr own{};
        EXPECT_EQ(cuIpcOpenMemHandle_v2(&own, offer.handle, 1), CUDA_ERROR_INVALID_CONTEXT);
        line.Say(offer);
        line.Hear<int>();
        kill(getpid(), SIGKILL);
      },
      [&](Line line) {
        StartCuda();
        const auto offer = line.Hear<Offer>();
        CUdeviceptr ptr{};
        EXPECT_EQ(cuIpcOpenMemHandle_v2(&ptr, offer.handle, 1), CUDA_SUCCESS);
        EXPECT_EQ(cuDevicePrimaryCtxReset_v2(0), CUDA_SUCCESS);
        StartCuda();
        EXPECT_EQ(cuIpcCloseMemHandle(ptr), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuIpcOpenMemHandle_v2(&ptr, offer.handle, 1), CUDA_SUCCESS);
        line.Say(1);
        while (line.IsThere()) usleep(1000);
        EXPECT_EQ(Free(), 1023 * kMib) << "somebody has it open";
        CUdeviceptr other{};
        EXPECT_EQ(cuMemsetD8_v2(ptr, 1, kMib), CUDA_SUCCESS) << "what is mapped stays mapped";
        EXPECT_EQ(cuIpcCloseMemHandle(ptr), CUDA_SUCCESS);
        // A process that was killed lets go of its pipes a moment before it is dead.
        for (int i = 0; i < 1000 && Free() != 1024 * kMib; ++i) usleep(1000);
        EXPECT_EQ(Free(), 1024 * kMib);
        EXPECT_EQ(cuIpcOpenMemHandle_v2(&other, offer.handle, 1), CUDA_ERROR_INVALID_HANDLE);
      },
      -SIGKILL);
}

struct PoolOffer {
  int fd;
  pid_t pid;
  CUmemPoolPtrExportData data;
};

TEST_F(Sharing, APoolsBlocksCanBeImportedAndNothingBeTakenFromIt) {
  Run(
      [&](Line line) {
        StartCuda();
        CUmemPoolProps props{};
        props.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
        props.handleTypes = kDescriptor;
        props.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
        CUmemoryPool pool{};
        CUdeviceptr first{};
        CUdeviceptr ptr{};
        PoolOffer offer{};
        offer.pid = getpid();
        EXPECT_EQ(cuMemPoolCreate(&pool, &props), CUDA_SUCCESS);
        EXPECT_EQ(cuMemPoolExportToShareableHandle(&offer.fd, pool, kDescriptor, 0), CUDA_SUCCESS);
        EXPECT_EQ(cuMemAllocFromPoolAsync(&first, 100, pool, nullptr), CUDA_SUCCESS);
        EXPECT_EQ(cuMemAllocFromPoolAsync(&ptr, kMib, pool, nullptr), CUDA_SUCCESS);
        EXPECT_EQ(cuMemsetD8_v2(ptr, 7, kMib), CUDA_SUCCESS);
        EXPECT_EQ(cuMemPoolExportPointer(&offer.data, ptr), CUDA_SUCCESS);
        CUmemoryPool plain{};
        EXPECT_EQ(cuDeviceGetDefaultMemPool(&plain, 0), CUDA_SUCCESS);
        int none = -1;
        EXPECT_EQ(cuMemPoolExportToShareableHandle(&none, plain, kDescriptor, 0),
                  CUDA_ERROR_INVALID_VALUE);
        line.Say(offer);
        line.Hear<int>();
        EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
        EXPECT_EQ(cuMemFree_v2(first), CUDA_SUCCESS);
        EXPECT_EQ(cuMemPoolDestroy(pool), CUDA_SUCCESS);
        EXPECT_EQ(Free(), 1024 * kMib);
      },
      [&](Line line) {
        StartCuda();
        auto offer = line.Hear<PoolOffer>();
        const std::string path =
            "/proc/" + std::to_string(offer.pid) + "/fd/" + std::to_string(offer.fd);
        const int fd = open(path.c_str(), O_RDWR);
        const std::size_t before = Free();
        CUmemoryPool pool{};
        void* const handle = reinterpret_cast<void*>(static_cast<std::intptr_t>(fd));
        EXPECT_EQ(cuMemPoolImportFromShareableHandle(&pool, nullptr, kDescriptor, 0),
                  CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMemPoolImportFromShareableHandle(&pool, handle, kDescriptor, 0), CUDA_SUCCESS);
        CUdeviceptr ptr{};
        EXPECT_EQ(cuMemAllocFromPoolAsync(&ptr, 100, pool, nullptr), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuDeviceSetMemPool(0, pool), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMemPoolImportPointer(&ptr, pool, &offer.data), CUDA_SUCCESS);
        EXPECT_EQ(Free(), before);
        unsigned char seen = 0;
        EXPECT_EQ(cuMemcpyDtoH_v2(&seen, ptr + kMib - 1, 1), CUDA_SUCCESS);
        EXPECT_EQ(seen, 7);
        EXPECT_EQ(cuMemFreeAsync(ptr, nullptr), CUDA_SUCCESS);
        EXPECT_EQ(cuMemFreeAsync(ptr, nullptr), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMemPoolImportPointer(&ptr, pool, &offer.data), CUDA_SUCCESS);
        EXPECT_EQ(cuMemFree_v2(ptr), CUDA_SUCCESS);
        EXPECT_EQ(cuMemPoolDestroy(pool), CUDA_SUCCESS);
        EXPECT_EQ(Free(), before);
        line.Say(1);
      });
}

TEST_F(Sharing, AMulticastObjectHoldsWhatIsBoundToIt) {
  Run(
      [](Line) {
        StartCuda();
        CUmulticastObjectProp prop{};
        prop.numDevices = 2;
        prop.size = 8 * kMib;
        std::size_t granularity = 0;
        EXPECT_EQ(cuMulticastGetGranularity(&granularity, &prop, CU_MULTICAST_GRANULARITY_MINIMUM),
                  CUDA_SUCCESS);
        EXPECT_EQ(granularity, 2 * kMib);
        CUmemGenericAllocationHandle team{};
        EXPECT_EQ(cuMulticastCreate(&team, &prop), CUDA_SUCCESS);
        EXPECT_EQ(Free(), 1024 * kMib) << "addresses, and no memory";
        EXPECT_EQ(cuMulticastAddDevice(team, 0), CUDA_SUCCESS);
        EXPECT_EQ(cuMulticastAddDevice(team, 0), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMulticastAddDevice(team, 9), CUDA_ERROR_INVALID_DEVICE);
        EXPECT_EQ(cuMulticastAddDevice(team, 1), CUDA_SUCCESS);
        CUmemAllocationProp memory{};
        memory.type = CU_MEM_ALLOCATION_TYPE_PINNED;
        memory.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
        CUmemGenericAllocationHandle handle{};
        EXPECT_EQ(cuMemCreate(&handle, 4 * kMib, &memory, 0), CUDA_SUCCESS);
        EXPECT_EQ(cuMulticastBindMem(team, 0, handle, 0, 16 * kMib, 0), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMulticastBindMem(team, 6 * kMib, handle, 0, 4 * kMib, 0),
                  CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMulticastBindMem(team, kMib, handle, 0, 4 * kMib, 0), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMulticastBindMem(team, 2 * kMib, handle, 0, 4 * kMib, 0), CUDA_SUCCESS);
        EXPECT_EQ(cuMulticastBindMem(team, 0, handle, 0, 4 * kMib, 0), CUDA_ERROR_INVALID_VALUE)
            << "there is something already";
        EXPECT_EQ(cuMulticastBindMem_v2(team, 1, 0, handle, 0, 4 * kMib, 0), CUDA_SUCCESS);
        EXPECT_EQ(cuMemRelease(handle), CUDA_SUCCESS);
        EXPECT_EQ(Free(), 1020 * kMib) << "bound memory lives";
        EXPECT_EQ(cuMulticastUnbind(team, 0, 0, 4 * kMib), CUDA_ERROR_INVALID_VALUE);
        EXPECT_EQ(cuMulticastUnbind(team, 0, 2 * kMib, 4 * kMib), CUDA_SUCCESS);
        EXPECT_EQ(Free(), 1020 * kMib);
        EXPECT_EQ(cuMulticastUnbind(team, 1, 0, 4 * kMib), CUDA_SUCCESS);
        EXPECT_EQ(Free(), 1024 * kMib);
        EXPECT_EQ(cuMemRelease(team), CUDA_SUCCESS);
        EXPECT_EQ(cuMulticastAddDevice(team, 0), CUDA_ERROR_INVALID_VALUE);
      },
      [](Line) {});
}

}  // namespace
}  // namespace tessera::sim::gpu
