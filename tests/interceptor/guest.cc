// A CUDA program in a container that has its own habits: signals, threads, children, descriptors.
// `guest SCENE [NUMBER]...` plays one scene and says "ok", or what it did not expect, line by line.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"

namespace {

constexpr std::size_t kMib = 1 << 20;
constexpr int kErrno = 4711;

int complaints = 0;

void Expect(bool good, const std::string& what) {
  if (good) return;
  ++complaints;
  std::cout << what << " (errno " << errno << ")" << std::endl;
}

CUcontext context = nullptr;

void Start() {
  Expect(cuInit(0) == CUDA_SUCCESS, "cuInit");
  Expect(cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS, "retain");
  Expect(cuCtxSetCurrent(context) == CUDA_SUCCESS, "set current");
}

CUfunction Kernel() {
  static const char kModule[] =
      ".version 6.0\n.target sm_52\n.address_size 64\n.visible .entry nothing()\n{\n  ret;\n}\n";
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  cuModuleLoadData(&module, kModule);
  cuModuleGetFunction(&kernel, module, "nothing");
  return kernel;
}

CUresult Launch(CUfunction kernel) {
  return cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
}

void LaunchTimes(CUfunction kernel, int times) {
  cuCtxSetCurrent(context);
  for (int i = 0; i < times; ++i) Expect(Launch(kernel) == CUDA_SUCCESS, "launch");
}

/// One of everything, some of it refused.
void UseAll() {
  CUdeviceptr ptr = 0;
  std::size_t pitch = 0;
  Start();
  Expect(cuMemAlloc_v2(&ptr, kMib) == CUDA_SUCCESS, "alloc");
  cuMemFree_v2(ptr);
  Expect(cuMemAlloc_v2(&ptr, 65 * kMib) == CUDA_ERROR_OUT_OF_MEMORY, "too much");
  Expect(cuMemAllocPitch_v2(&ptr, &pitch, SIZE_MAX, 2, 4) == CUDA_ERROR_OUT_OF_MEMORY, "pitch");
  LaunchTimes(Kernel(), 10);
  cuCtxSynchronize();
}

// --- Scenes -------------------------------------------------------------------------------------
using Numbers = std::vector<int>;

/// Waits until stdin ends.
void Hold(const Numbers&) {
  Start();
  std::cout << "held" << std::endl;
  for (char c; read(STDIN_FILENO, &c, 1) > 0;) {
  }
}

/// Threads at the same time, launches of each.
void Launches(const Numbers& n) {
  Start();
  const CUfunction kernel = Kernel();
  std::vector<std::thread> threads;
  for (int i = 0; i < n.at(0); ++i) threads.emplace_back(LaunchTimes, kernel, n.at(1));
  for (auto& thread : threads) thread.join();
}

/// Threads one after the other.
void Churn(const Numbers& n) {
  Start();
  const CUfunction kernel = Kernel();
  for (int i = 0; i < n.at(0); ++i) std::thread(LaunchTimes, kernel, n.at(1)).join();
}

/// The child of a process that has launched: its launches fail, and none of them is the parent's.
void LaunchInChild(const Numbers& n) {
  Start();
  const CUfunction kernel = Kernel();
  LaunchTimes(kernel, n.at(0));
  const pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 100; ++i) Launch(kernel);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  Expect(status == 0, "child");
}

void LaunchThenDie(const Numbers& n) {
  Start();
  LaunchTimes(Kernel(), n.at(0));
  kill(getpid(), SIGKILL);
}

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

/// Allocating threads, and children that are forked meanwhile and call the driver.
void ForkAmongThreads(const Numbers& n) {
  Start();
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      cuCtxSetCurrent(context);
      while (!stop) {
        CUdeviceptr ptr = 0;
        if (cuMemAlloc_v2(&ptr, kMib) == CUDA_SUCCESS) cuMemFree_v2(ptr);
        cuMemAlloc_v2(&ptr, 65 * kMib);
      }
    });
  }
  for (int i = 0; i < n.at(0); ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      alarm(10);  // a lock that nobody will ever release
      CUdeviceptr ptr = 0;
      std::size_t size = 0;
      cuMemAlloc_v2(&ptr, kMib);
      cuMemGetInfo_v2(&size, &size);
      // Addresses of every part of our books.
      for (CUdeviceptr other = 1; other < 256; ++other) cuMemFree_v2(other << 20);
      _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    Expect(WIFEXITED(status), "a child hung");
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  std::size_t free = 0, total = 0;
  cuMemGetInfo_v2(&free, &total);
  Expect(free == total, "bytes are left over");
}

/// vfork lends the child the parent's memory until it execs.
void VforkAndExec(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 32 * kMib) == CUDA_SUCCESS, "alloc");
  for (int i = 0; i < 10; ++i) {
    const pid_t pid = vfork();
    if (pid == 0) {
      execl("/proc/self/exe", "guest", "half", nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    Expect(status == 0, "the new program");
  }
  std::size_t free = 0, total = 0;
  cuMemGetInfo_v2(&free, &total);
  Expect(free == 32 * kMib, "the parent's account");
  Expect(cuMemFree_v2(ptr) == CUDA_SUCCESS, "free");
}

void Half(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 33 * kMib) == CUDA_ERROR_OUT_OF_MEMORY, "beyond the other half");
  Expect(cuMemAlloc_v2(&ptr, 32 * kMib) == CUDA_SUCCESS, "the other half");
}

/// The same process as another program: what it held before is nobody's.
void ExecAfterAlloc(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 64 * kMib) == CUDA_SUCCESS, "alloc");
  execl("/proc/self/exe", "guest", "whole", nullptr);
}

void Whole(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 64 * kMib) == CUDA_SUCCESS, "all of it again");
}

void TwoContexts(const Numbers&) {
  Start();
  CUcontext second = nullptr;
  CUdeviceptr ptr = 0;
  Expect(cuMemAlloc_v2(&ptr, 32 * kMib) == CUDA_SUCCESS, "in the first");
  Expect(cuCtxCreate_v2(&second, 0, 0) == CUDA_SUCCESS, "second context");
  Expect(cuMemAlloc_v2(&ptr, 33 * kMib) == CUDA_ERROR_OUT_OF_MEMORY, "one limit for both");
  Expect(cuMemAlloc_v2(&ptr, 32 * kMib) == CUDA_SUCCESS, "in the second");
  cuCtxSetCurrent(context);
  Expect(cuMemFree_v2(ptr) == CUDA_SUCCESS, "free with the other one current");
  Expect(cuMemAlloc_v2(&ptr, 32 * kMib) == CUDA_SUCCESS, "what the other one had");
}

void PerThreadNames(const Numbers&) {
  Start();
  CUdeviceptr ptr = 0;
  Expect(cuMemAllocAsync_ptsz(&ptr, 65 * kMib, nullptr) == CUDA_ERROR_OUT_OF_MEMORY, "too much");
  Expect(cuMemAllocAsync_ptsz(&ptr, 64 * kMib, nullptr) == CUDA_SUCCESS, "all");
  Expect(cuMemFreeAsync_ptsz(ptr, nullptr) == CUDA_SUCCESS, "free");
  Expect(cuMemAlloc_v2(&ptr, 64 * kMib) == CUDA_SUCCESS, "all again");
  const CUfunction kernel = Kernel();
  for (int i = 0; i < 5; ++i) {
    Expect(cuLaunchKernel_ptsz(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr) == 0, "run");
  }
}

/// Numbers in GiB: the limit. Lengths that need more than 32 bits, and more than 64.
void Wide(const Numbers& n) {
  Start();
  const std::size_t gib = std::size_t{1} << 30;
  const std::size_t limit = gib * static_cast<std::size_t>(n.at(0));
  CUdeviceptr ptr = 0, more = 0;
  std::size_t pitch = 0, free = 0, total = 0;
  for (const std::size_t size :
       {limit + 1, limit + (std::size_t{1} << 32), SIZE_MAX, SIZE_MAX - 511}) {
    Expect(cuMemAlloc_v2(&ptr, size) == CUDA_ERROR_OUT_OF_MEMORY, std::to_string(size));
  }
  // width * height is 2^64 + 2^12, so 4096 where it wraps around.
  const std::size_t height = (std::size_t{1} << 52) + 1;
  Expect(cuMemAllocPitch_v2(&ptr, &pitch, 4096, height, 4) == CUDA_ERROR_OUT_OF_MEMORY, "wrapped");
  Expect(cuMemAlloc_v2(&ptr, limit - gib) == CUDA_SUCCESS, "more than 4 GiB at once");
  cuMemGetInfo_v2(&free, &total);
  Expect(free == gib && total == limit, "told " + std::to_string(free));
  Expect(cuMemAlloc_v2(&more, SIZE_MAX - limit + gib + 1) == CUDA_ERROR_OUT_OF_MEMORY, "sum wraps");
  Expect(cuMemAlloc_v2(&more, gib + 1) == CUDA_ERROR_OUT_OF_MEMORY, "one byte too many");
  Expect(cuMemAlloc_v2(&more, gib) == CUDA_SUCCESS, "the last one");
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

const std::map<std::string, void (*)(const Numbers&)> kScenes = {
    {"hold", Hold},
    {"launches", Launches},
    {"churn", Churn},
    {"launch_in_child", LaunchInChild},
    {"launch_then_die", LaunchThenDie},
    {"signals_and_umask", SignalsAndUmask},
    {"errno", Errno},
    {"descriptors", Descriptors},
    {"fork_among_threads", ForkAmongThreads},
    {"vfork_and_exec", VforkAndExec},
    {"half", Half},
    {"exec_after_alloc", ExecAfterAlloc},
    {"whole", Whole},
    {"two_contexts", TwoContexts},
    {"per_thread_names", PerThreadNames},
    {"wide", Wide},
    {"close_the_driver", CloseTheDriver},
    {"look_ups", LookUps},
    {"all", [](const Numbers&) { UseAll(); }},
};

}  // namespace

int main(int argc, char** argv) {
  const auto scene = kScenes.find(argc > 1 ? argv[1] : "");
  if (scene == kScenes.end()) return 2;
  Numbers numbers;
  for (int i = 2; i < argc; ++i) numbers.push_back(std::atoi(argv[i]));
  scene->second(numbers);
  if (complaints == 0 && scene->first != "half") std::cout << "ok" << std::endl;
  return complaints == 0 ? 0 : 1;
}
