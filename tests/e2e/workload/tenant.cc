// A tenant of one GPU. Takes all the memory that it gets, block by block, gives back what is beyond
// its limit, and says in one line of JSON what it sees: at start, and whenever that changes.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/abi/cuda.h"

namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr timespec kPause = {0, 200'000'000};

std::string File(const char* path) {
  std::string text;
  char part[4096];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  for (ssize_t size = 0; (size = read(fd, part, sizeof part)) > 0;) {
    text.append(part, static_cast<std::size_t>(size));
  }
  close(fd);
  return text;
}

/// Everything that is quoted here is plain ASCII without quotes.
std::string Quoted(const char* key, const std::string& value) {
  return std::string("\"") + key + "\":\"" + value + "\",";
}

std::string Variable(const char* name) {
  const char* value = getenv(name);
  return Quoted(name, value == nullptr ? "(unset)" : value);
}

/// A client of MPS finds its daemon by this socket.
bool FindsMpsDaemon() {
  const char* folder = getenv("CUDA_MPS_PIPE_DIRECTORY");
  return folder != nullptr && access((std::string(folder) + "/control").c_str(), F_OK) == 0;
}

class Tenant {
 public:
  bool Start() {
    CUdevice device = 0;
    CUcontext context = nullptr;
    started_ = cuInit(0);
    if (started_ == CUDA_SUCCESS) started_ = cuDeviceGetCount(&gpus_);
    if (started_ == CUDA_SUCCESS) started_ = cuDeviceGet(&device, 0);
    if (started_ == CUDA_SUCCESS) started_ = cuDevicePrimaryCtxRetain(&context, device);
    if (started_ == CUDA_SUCCESS) started_ = cuCtxSetCurrent(context);
    return started_ == CUDA_SUCCESS;
  }

  /// Refused by the driver, or by whoever stands before it, with this.
  CUresult TakeOne() {
    CUdeviceptr block = 0;
    const CUresult result = cuMemAlloc_v2(&block, kBlock);
    if (result == CUDA_SUCCESS) blocks_.push_back(block);
    return result;
  }

  /// Takes memory until that is refused. If more is held than the limit says, the refusal comes at
  /// once, and what is beyond goes back.
  void Step() {
    while ((refusal_ = TakeOne()) == CUDA_SUCCESS) {
    }
    std::size_t free = 0;
    cuMemGetInfo_v2(&free, &total_);
    while (blocks_.size() * kBlock > total_) {
      cuMemFree_v2(blocks_.back());
      blocks_.pop_back();
    }
  }

  std::string Report() const {
    char numbers[200];
    snprintf(numbers, sizeof numbers,
             "\"uid\":%d,\"start\":%d,\"gpus\":%d,\"total\":%zu,\"held\":%zu,\"refusal\":%d",
             static_cast<int>(getuid()), static_cast<int>(started_), gpus_, total_,
             blocks_.size() * kBlock, static_cast<int>(refusal_));
    const bool mapped = File("/proc/self/maps").find("/libtessera.so") != std::string::npos;
    return "{" + Quoted("limits_file", File("/etc/tessera/limits")) + Variable("TESSERA_LIMITS") +
           Variable("NVIDIA_VISIBLE_DEVICES") + Variable("LD_PRELOAD") +
           Variable("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE") +
           Variable("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT") +
           "\"mps_daemon\":" + (FindsMpsDaemon() ? "true" : "false") + "," +
           "\"preloaded\":" + (mapped ? "true" : "false") + "," + numbers + "}";
  }

 private:
  CUresult started_ = CUDA_ERROR_UNKNOWN;
  CUresult refusal_ = CUDA_SUCCESS;
  int gpus_ = 0;
  std::size_t total_ = 0;
  std::vector<CUdeviceptr> blocks_;
};

}  // namespace

int main() {
  Tenant tenant;
  const bool started = tenant.Start();
  for (std::string said;;) {
    if (started) tenant.Step();
    if (std::string now = tenant.Report(); now != said) {
      printf("%s\n", now.c_str());
      fflush(stdout);
      said = std::move(now);
    }
    nanosleep(&kPause, nullptr);
  }
}
