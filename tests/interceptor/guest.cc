// A CUDA program in a container that has its own habits: signals, threads, children, descriptors.
// `guest SCENE [NUMBER]...` plays one scene and says "ok", or what it did not expect, line by line.
#include "tests/interceptor/guest.h"

#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "common/abi/cuda.h"
#include "common/abi/cuda_more.h"

namespace guest {

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

namespace {

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

const std::map<std::string, Scene> kScenes = {
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

bool Play(const std::string& name, const Numbers& numbers) {
  const auto scene = kScenes.find(name);
  if (scene == kScenes.end()) return false;
  scene->second(numbers);
  return true;
}

}  // namespace
}  // namespace guest

int main(int argc, char** argv) {
  guest::Numbers numbers;
  for (int i = 2; i < argc; ++i) numbers.push_back(std::atoi(argv[i]));
  const std::string scene = argc > 1 ? argv[1] : "";
  if (!guest::Play(scene, numbers)) return 2;
  if (guest::complaints == 0 && scene != "half") std::cout << "ok" << std::endl;
  return guest::complaints == 0 ? 0 : 1;
}
