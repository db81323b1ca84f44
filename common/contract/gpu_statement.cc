#include "common/contract/gpu_statement.h"

namespace tessera::contract {
namespace {

using binpack::GpuRequest;

std::string Text(std::int64_t value) { return std::to_string(value); }

std::string Text(const MemoryAmount& amount) {
  return amount.percent > 0 ? std::to_string(amount.percent) + "%"
                            : std::to_string(amount.mib) + " MiB";
}

template <typename T>
Result<void> Add(std::optional<Stated<T>>& into, const Stated<T>& more) {
  if (!into) into = more;
  if (into->value == more.value) return {};
  return Fail(Errc::kInvalidArgument, into->where + " says " + Text(into->value) + ", but " +
                                          more.where + " says " + Text(more.value));
}

Result<void> Within(std::int64_t value, std::int64_t least, std::int64_t most,
                    const std::string& where) {
  if (value >= least && value <= most) return {};
  return Fail(Errc::kInvalidArgument, where + ": " + std::to_string(value) + " is not from " +
                                          std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace

Result<void> StateCount(GpuStatement& into, std::int64_t count, const std::string& where) {
  return Within(count, 0, binpack::kMaxGpusPerNode, where).and_then([&] {
    return Add(into.count, {count, where});
  });
}

Result<void> StateMemoryMib(GpuStatement& into, std::int64_t mib, const std::string& where) {
  return Within(mib, 1, binpack::kMaxMemoryMib, where).and_then([&] {
    return Add(into.memory, {MemoryAmount{.mib = mib}, where});
  });
}

Result<void> StateMemoryPercent(GpuStatement& into, std::int64_t percent,
                                const std::string& where) {
  return Within(percent, 1, 100, where).and_then([&] {
    return Add(into.memory, {MemoryAmount{.percent = static_cast<int>(percent)}, where});
  });
}

Result<void> StateCores(GpuStatement& into, std::int64_t cores, const std::string& where) {
  return Within(cores, 0, binpack::kWholeGpuCores, where).and_then([&] {
    return Add(into.cores, {cores, where});
  });
}

Result<void> Merge(GpuStatement& into, const GpuStatement& more) {
  Result<void> ok;
  if (ok && more.count) ok = Add(into.count, *more.count);
  if (ok && more.memory) ok = Add(into.memory, *more.memory);
  if (ok && more.cores) ok = Add(into.cores, *more.cores);
  return ok;
}

Result<GpuRequest> Complete(const GpuStatement& statement) {
  GpuRequest request;
  const auto& [count, memory, cores] = statement;
  if (!count && !memory && !cores) return request;
  request.count = count ? static_cast<int>(count->value) : 1;
  if (request.count == 0) {
    if (!memory && !cores) return request;
    return Fail(Errc::kInvalidArgument, count->where + " is 0, but " +
                                            (memory ? memory->where : cores->where) +
                                            " asks for a share of a GPU");
  }
  const MemoryAmount amount = memory ? memory->value : MemoryAmount{.percent = 100};
  request.memory_mib = amount.mib;
  request.memory_percent = amount.percent;
  request.cores_percent = amount.percent == 100 ? binpack::kWholeGpuCores : 0;
  if (cores) request.cores_percent = cores->value;
  return request;
}

}  // namespace tessera::contract
