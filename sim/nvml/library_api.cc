#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "sim/nvml/library.h"

using namespace tessera::sim::nvml;

namespace {

struct ErrorText {
  nvmlReturn_t code;
  const char* text;
};

constexpr std::array kErrors = {
    ErrorText{NVML_SUCCESS, "Success"},
    ErrorText{NVML_ERROR_UNINITIALIZED, "Uninitialized"},
    ErrorText{NVML_ERROR_INVALID_ARGUMENT, "Invalid Argument"},
    ErrorText{NVML_ERROR_NOT_SUPPORTED, "Not Supported"},
    ErrorText{NVML_ERROR_NO_PERMISSION, "Insufficient Permissions"},
    ErrorText{NVML_ERROR_ALREADY_INITIALIZED, "Already Initialized"},
    ErrorText{NVML_ERROR_NOT_FOUND, "Not Found"},
    ErrorText{NVML_ERROR_INSUFFICIENT_SIZE, "Insufficient Size"},
    ErrorText{NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded"},
    ErrorText{NVML_ERROR_TIMEOUT, "Timeout"},
    ErrorText{NVML_ERROR_LIBRARY_NOT_FOUND, "NVML Shared Library Not Found"},
    ErrorText{NVML_ERROR_FUNCTION_NOT_FOUND, "Function Not Found"},
    ErrorText{NVML_ERROR_GPU_IS_LOST, "GPU is lost"},
    ErrorText{NVML_ERROR_RESET_REQUIRED, "GPU requires reset"},
    ErrorText{NVML_ERROR_OPERATING_SYSTEM, "GPU access blocked by the operating system"},
    ErrorText{NVML_ERROR_LIB_RM_VERSION_MISMATCH, "Driver/library version mismatch"},
    ErrorText{NVML_ERROR_IN_USE, "In use by another client"},
    ErrorText{NVML_ERROR_MEMORY, "Insufficient Memory"},
    ErrorText{NVML_ERROR_NO_DATA, "No data"},
    ErrorText{NVML_ERROR_INSUFFICIENT_RESOURCES, "Insufficient Resources"},
    ErrorText{NVML_ERROR_ARGUMENT_VERSION_MISMATCH, "Argument version mismatch"},
    ErrorText{NVML_ERROR_NOT_READY, "System is not in ready state"},
    ErrorText{NVML_ERROR_GPU_NOT_FOUND, "No supported GPUs were found"},
};

}  // namespace

extern "C" {

nvmlReturn_t nvmlInit(void) { return Start(); }
nvmlReturn_t nvmlInit_v2(void) { return Start(); }

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
  constexpr unsigned int kKnown = 3;  // no GPUs, no attach
  return (flags & ~kKnown) != 0 ? NVML_ERROR_INVALID_ARGUMENT : Start();
}

nvmlReturn_t nvmlShutdown(void) { return Stop(); }

const char* nvmlErrorString(nvmlReturn_t result) {
  for (const auto& [code, text] : kErrors) {
    if (code == result) return text;
  }
  return "Unknown Error";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned int length) {
  if (const nvmlReturn_t error = Ready()) return error;
  return CopyText(TheLibrary().driver_version, version, length);
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char* version, unsigned int length) {
  if (const nvmlReturn_t error = Ready()) return error;
  const int major = TheLibrary().cuda_version / 1000;
  return CopyText(std::to_string(major) + "." + TheLibrary().driver_version, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int* version) {
  if (const nvmlReturn_t error = Ready()) return error;
  if (version == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *version = TheLibrary().cuda_version;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int* version) {
  return nvmlSystemGetCudaDriverVersion(version);
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char* name, unsigned int length) {
  if (const nvmlReturn_t error = Ready()) return error;
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%u/cmdline", pid);
  const int fd = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NVML_ERROR_NOT_FOUND;
  std::array<char, 1024> text{};
  const ssize_t got = read(fd, text.data(), text.size() - 1);
  close(fd);
  if (got <= 0) return NVML_ERROR_NOT_FOUND;
  return CopyText(text.data(), name, length);  // up to the first argument's zero
}

}  // extern "C"
