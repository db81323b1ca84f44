// Scenes about what is a program's own: signals, errno, descriptors, look-ups.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/abi/cuda.h"
#include "tests/interceptor/guest.h"

namespace guest {
namespace {

constexpr int kErrno = 4711;

struct Habits {
  std::map<int, std::pair<void (*)(int), int>> handlers;
  mode_t mask = 0;
  sigset_t blocked{};
};

Habits Look() {
  Habits habits;
  for (int number = 1; number < 65; ++number) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) != 0) continue;
    habits.handlers[number] = {action.sa_handler, action.sa_flags};
  }
  habits.mask = umask(0);
  umask(habits.mask);
  pthread_sigmask(SIG_BLOCK, nullptr, &habits.blocked);
  return habits;
}

}  // namespace

void SignalsAndUmask(const Numbers&) {
  umask(027);
  signal(SIGUSR1, SIG_IGN);
  const Habits before = Look();
  UseAll();
  const Habits after = Look();
  Expect(before.handlers == after.handlers, "signal handlers have changed");
  Expect(before.mask == after.mask, "umask has changed");
  Expect(memcmp(&before.blocked, &after.blocked, sizeof(sigset_t)) == 0, "signal mask has changed");
}

/// With TESSERA_SIM_NOOP the driver leaves errno alone, so who changes it is us. The first call of
/// each kind is the one that opens files.
void Errno(const Numbers&) {
  CUdeviceptr ptr = 0;
  std::size_t size = 0;
  CUfunction kernel = nullptr;
  const auto keeps = [](const char* what, const std::function<void()>& call) {
    errno = kErrno;
    call();
    Expect(errno == kErrno, std::string("errno after ") + what);
  };
  keeps("cuInit", [] { cuInit(0); });
  Start();
  kernel = Kernel();
  keeps("first launch", [&] { Launch(kernel); });
  keeps("second launch", [&] { Launch(kernel); });
  keeps("alloc", [&] { cuMemAlloc_v2(&ptr, kMib); });
  keeps("free", [&] { cuMemFree_v2(ptr); });
  keeps("refused alloc", [&] { cuMemAlloc_v2(&ptr, 65 * kMib); });
  keeps("refused pitch", [&] { cuMemAllocPitch_v2(&ptr, &size, SIZE_MAX, 2, 4); });
  keeps("refused managed", [&] { cuMemAllocManaged(&ptr, 65 * kMib, 1); });
  keeps("refused async", [&] { cuMemAllocAsync(&ptr, 65 * kMib, nullptr); });
  keeps("free of nothing", [] { cuMemFree_v2(0x1234); });
  keeps("info", [&] { cuMemGetInfo_v2(&size, &size); });
  keeps("total", [&] { cuDeviceTotalMem_v2(&size, 0); });
  keeps("proc address", [] {
    void* found = nullptr;
    CUdriverProcAddressQueryResult status{};
    cuGetProcAddress_v2("cuMemAlloc", &found, 12000, 0, &status);
    cuGetProcAddress_v2("cuNoSuchThing", &found, 12000, 0, &status);
  });
  std::thread([&] {
    cuCtxSetCurrent(context);
    keeps("launch of another thread", [&] { Launch(kernel); });
  }).join();
}

/// What a program does with the standard streams closed, and what its children inherit.
void Descriptors(const Numbers&) {
  for (int fd = 0; fd < 3; ++fd) close(fd);
  cuInit(0);
  const int first = open("/dev/null", O_RDWR);
  const int rest[] = {dup(first), dup(first)};
  bool kept = true;
  for (int fd = 3; fd < 4096; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) kept = false;
  }
  // There is no stream to say it on.
  _exit(first == 0 && rest[0] == 1 && rest[1] == 2 && kept ? 0 : 1);
}

/// Programs that look for the driver by themselves open and close it as they like.
void CloseTheDriver(const Numbers&) {
  for (int i = 0; i < 3; ++i) {
    void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    const auto init = reinterpret_cast<decltype(&::cuInit)>(dlsym(driver, "cuInit"));
    Expect(init(0) == CUDA_SUCCESS, "cuInit");
    dlclose(driver);
  }
  UseAll();
}

/// Who comes next is the same however often, and whoever, asks. Names that merely look like CUDA's
/// are nobody's business.
void LookUps(const Numbers&) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      void* const first = dlsym(RTLD_NEXT, "open");
      for (int k = 0; k < 1000; ++k) Expect(dlsym(RTLD_NEXT, "open") == first, "another open");
      Expect(first != nullptr, "no open");
    });
  }
  for (auto& thread : threads) thread.join();
  void* const libc = dlopen("libc.so.6", RTLD_LAZY);
  for (const char* name :
       {"curl_easy_init", "cublasCreate_v2", "cuNoSuchThing", "cu", "nvml", ""}) {
    Expect(dlsym(libc, name) == nullptr, name);
    Expect(dlsym(RTLD_DEFAULT, name) == nullptr, name);
  }
}

}  // namespace guest
