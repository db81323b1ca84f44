#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/busy/series.h"
#include "common/abi/nvml.h"

namespace tessera::agent {

/// NVML's record of how busy GPUs were, open: while one is, NVML does not start anew for others in
/// the process. Has its own way to NVML, not nvml_functions, to need no third-party header. One
/// thread only.
class UtilizationReader {
 public:
  /// Null: `trouble` says what is missing.
  static std::unique_ptr<UtilizationReader> Open(const std::string& library, std::string& trouble);
  ~UtilizationReader();
  UtilizationReader(const UtilizationReader&) = delete;
  UtilizationReader& operator=(const UtilizationReader&) = delete;

  struct Answer {
    std::string trouble;  ///< for people; empty: NVML answered
    std::vector<UtilizationSample> samples;
  };
  /// The samples after that time; none is no trouble.
  Answer Since(const std::string& gpu_uuid, std::uint64_t real_us);

 private:
  struct Unload {
    void operator()(void* library) const;
  };
  struct Functions {
    decltype(&nvmlInit_v2) init = nullptr;
    decltype(&nvmlShutdown) shutdown = nullptr;
    decltype(&nvmlDeviceGetHandleByUUID) by_uuid = nullptr;
    decltype(&nvmlDeviceGetSamples) samples = nullptr;
    decltype(&nvmlErrorString) error_string = nullptr;  ///< may be null
  };
  using Library = std::unique_ptr<void, Unload>;

  UtilizationReader(Library library, const Functions& functions);
  static std::string ErrorText(const Functions& functions, const char* call, nvmlReturn_t result);
  Answer Ask(nvmlDevice_t device, std::uint64_t real_us) const;

  const Library library_;
  const Functions f_;
  std::map<std::string, nvmlDevice_t> devices_;
};

}  // namespace tessera::agent
