#pragma once

#include <errno.h>

#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

#include "common/abi/cuda.h"

/// What the scenes of `guest` (guest.cc) share.
namespace guest {

constexpr std::size_t kMib = 1 << 20;

inline int complaints = 0;

inline void Expect(bool good, const std::string& what) {
  if (good) return;
  ++complaints;
  std::cout << what << " (errno " << errno << ")" << std::endl;
}

inline CUcontext context = nullptr;

inline void Start() {
  Expect(cuInit(0) == CUDA_SUCCESS, "cuInit");
  Expect(cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS, "retain");
  Expect(cuCtxSetCurrent(context) == CUDA_SUCCESS, "set current");
}

inline CUfunction Kernel() {
  static const char kModule[] =
      ".version 6.0\n.target sm_52\n.address_size 64\n.visible .entry nothing()\n{\n  ret;\n}\n";
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  cuModuleLoadData(&module, kModule);
  cuModuleGetFunction(&kernel, module, "nothing");
  return kernel;
}

inline CUresult Launch(CUfunction kernel) {
  return cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr);
}

inline void LaunchTimes(CUfunction kernel, int times) {
  cuCtxSetCurrent(context);
  for (int i = 0; i < times; ++i) Expect(Launch(kernel) == CUDA_SUCCESS, "launch");
}

/// One of everything, some of it refused.
void UseAll();

using Numbers = std::vector<int>;
using Scene = void (*)(const Numbers&);

// guest_habits.cc
void SignalsAndUmask(const Numbers& numbers);
void Errno(const Numbers& numbers);
void Descriptors(const Numbers& numbers);
void CloseTheDriver(const Numbers& numbers);
void LookUps(const Numbers& numbers);

// guest_children.cc
void ForkAmongThreads(const Numbers& numbers);
void VforkAndExec(const Numbers& numbers);
void Half(const Numbers& numbers);
void ExecAfterAlloc(const Numbers& numbers);
void Whole(const Numbers& numbers);

}  // namespace guest
