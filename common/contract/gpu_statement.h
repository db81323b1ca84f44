#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "binpack/types.h"
#include "common/base/result.h"

namespace tessera::contract {

/// A value and the place where somebody wrote it, for errors that name it.
template <typename T>
struct Stated {
  T value{};
  std::string where;  ///< "annotation tessera.dev/gpu-memory"
};

/// Memory of each GPU: exactly one of the two is positive.
struct MemoryAmount {
  std::int64_t mib = 0;
  int percent = 0;

  bool operator==(const MemoryAmount&) const = default;
};

/// What was said about one container's GPUs, in one or several dialects; the rest is open.
struct GpuStatement {
  std::optional<Stated<std::int64_t>> count;
  std::optional<Stated<MemoryAmount>> memory;
  std::optional<Stated<std::int64_t>> cores;
};

/// Range checks: count 0 to kMaxGpusPerNode, memory 1 to kMaxMemoryMib, percent 1 to 100, cores 0
/// to 100.
Result<void> StateCount(GpuStatement& into, std::int64_t count, const std::string& where);
Result<void> StateMemoryMib(GpuStatement& into, std::int64_t mib, const std::string& where);
Result<void> StateMemoryPercent(GpuStatement& into, std::int64_t percent, const std::string& where);
Result<void> StateCores(GpuStatement& into, std::int64_t cores, const std::string& where);

/// Adds `more`. Saying the same twice is fine; different things are an error that names both
/// places.
Result<void> Merge(GpuStatement& into, const GpuStatement& more);

/// Fills in what was left open: one GPU, all of its memory, and all of its cores if all of its
/// memory is asked for, else none. Nothing said, or a count of 0, gives a request with count 0.
Result<binpack::GpuRequest> Complete(const GpuStatement& statement);

}  // namespace tessera::contract
