#include <algorithm>
#include <array>

#include "sim/cuda/driver.h"

using tessera::sim::cuda::Initialise;
using tessera::sim::cuda::Ready;
using tessera::sim::cuda::TheDriver;

namespace {

struct ErrorText {
  CUresult code;
  const char* name;
  const char* text;
};

#define TESSERA_ERROR(code, text) \
  ErrorText { code, #code, text }
constexpr std::array kErrors = {
    TESSERA_ERROR(CUDA_SUCCESS, "no error"),
    TESSERA_ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    TESSERA_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    TESSERA_ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    TESSERA_ERROR(CUDA_ERROR_DEINITIALIZED, "driver shutting down"),
    TESSERA_ERROR(CUDA_ERROR_STUB_LIBRARY, "CUDA driver is a stub library"),
    TESSERA_ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE,
                  "CUDA-capable device(s) is/are busy or unavailable"),
    TESSERA_ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    TESSERA_ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    TESSERA_ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    TESSERA_ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    TESSERA_ERROR(CUDA_ERROR_MAP_FAILED, "mapping of buffer object failed"),
    TESSERA_ERROR(CUDA_ERROR_UNMAP_FAILED, "unmapping of buffer object failed"),
    TESSERA_ERROR(CUDA_ERROR_ARRAY_IS_MAPPED, "array is mapped"),
    TESSERA_ERROR(CUDA_ERROR_ALREADY_MAPPED, "resource already mapped"),
    TESSERA_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU,
                  "no kernel image is available for execution on the device"),
    TESSERA_ERROR(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error encountered"),
    TESSERA_ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT, "limit is not supported on this architecture"),
    TESSERA_ERROR(CUDA_ERROR_CONTEXT_ALREADY_IN_USE,
                  "exclusive-thread device already in use by a different thread"),
    TESSERA_ERROR(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED,
                  "peer access is not supported between these two devices"),
    TESSERA_ERROR(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
    TESSERA_ERROR(CUDA_ERROR_INVALID_SOURCE, "device kernel image is invalid"),
    TESSERA_ERROR(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    TESSERA_ERROR(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND, "shared object symbol not found"),
    TESSERA_ERROR(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "shared object initialization failed"),
    TESSERA_ERROR(CUDA_ERROR_OPERATING_SYSTEM,
                  "OS call failed or operation not supported on this OS"),
    TESSERA_ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    TESSERA_ERROR(CUDA_ERROR_ILLEGAL_STATE,
                  "the operation cannot be performed in the present state"),
    TESSERA_ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    TESSERA_ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
    TESSERA_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    TESSERA_ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    TESSERA_ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    TESSERA_ERROR(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is already enabled"),
    TESSERA_ERROR(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access has not been enabled"),
    TESSERA_ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE,
                  "cannot set while device is active in this process"),
    TESSERA_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    TESSERA_ERROR(CUDA_ERROR_ASSERT, "device-side assert triggered"),
    TESSERA_ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
                  "part or all of the requested memory range is already mapped"),
    TESSERA_ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
                  "pointer does not correspond to a registered memory region"),
    TESSERA_ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    TESSERA_ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    TESSERA_ERROR(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks in cooperative launch"),
    TESSERA_ERROR(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
    TESSERA_ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    TESSERA_ERROR(CUDA_ERROR_SYSTEM_NOT_READY, "system not yet initialized"),
    TESSERA_ERROR(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
                  "system has unsupported display driver / cuda driver combination"),
    TESSERA_ERROR(CUDA_ERROR_MPS_CONNECTION_FAILED,
                  "MPS client failed to connect to the MPS control daemon or the MPS server"),
    TESSERA_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                  "operation not permitted when stream is capturing"),
    TESSERA_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                  "operation failed due to a previous error during capture"),
    TESSERA_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                  "operation would make the legacy stream depend on a capturing blocking stream"),
    TESSERA_ERROR(CUDA_ERROR_TIMEOUT, "wait operation timed out"),
    TESSERA_ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
};
#undef TESSERA_ERROR

const ErrorText* FindError(CUresult code) {
  const auto* found = std::find_if(kErrors.begin(), kErrors.end(),
                                   [code](const ErrorText& error) { return error.code == code; });
  return found == kErrors.end() ? nullptr : found;
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned int flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return Initialise();
}

CUresult cuDriverGetVersion(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = tessera::sim::cuda::DriverVersion();
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ErrorText* found = FindError(error);
  *text = found == nullptr ? nullptr : found->name;
  return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ErrorText* found = FindError(error);
  *text = found == nullptr ? nullptr : found->text;
  return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/// The private tables of the CUDA runtime are not simulated.
CUresult cuGetExportTable(const void** table, const CUuuid* id) {
  if (table == nullptr || id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *table = nullptr;
  return CUDA_ERROR_INVALID_VALUE;  // what a real one says of a table that it does not have
}

}  // extern "C"
