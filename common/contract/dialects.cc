#include "common/contract/dialects.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "common/contract/names.h"
#include "common/contract/pod_request.h"
#include "common/contract/quantity.h"
#include "common/json/json.h"

namespace tessera::contract {
namespace {

using rapidjson::Value;

/// The resource names of one project. An empty name: it has none.
struct Dialect {
  std::string_view count;
  std::string_view memory;
  std::string_view memory_unit;
  std::int64_t memory_unit_mib;
  std::string_view memory_percent;
  std::string_view cores;
  /// HAMi's rules, which Volcano's device plugin shares: memory 0 is memory left open, and an
  /// absolute amount wins over a percentage beside it. In our own dialect both are errors.
  bool lenient_memory;
};

constexpr std::array<Dialect, 4> kDialects = {{
    {names::kResourceGpu, names::kResourceGpuMemory, "MiB", 1, names::kResourceGpuMemoryPercent,
     names::kResourceGpuCores, false},
    {"nvidia.com/gpu", "nvidia.com/gpumem", "MiB", 1, "nvidia.com/gpumem-percentage",
     "nvidia.com/gpucores", true},
    {"aliyun.com/gpu-count", "aliyun.com/gpu-mem", "GiB", 1024, "", "", true},
    {"volcano.sh/vgpu-number", "volcano.sh/vgpu-memory", "MiB", 1,
     "volcano.sh/vgpu-memory-percentage", "volcano.sh/vgpu-cores", true},
}};

/// Names of these projects that say nothing we act on.
constexpr std::array<std::string_view, 1> kIgnored = {"nvidia.com/priority"};

bool Speaks(const Dialect& dialect, std::string_view resource) {
  return resource == dialect.count || resource == dialect.memory ||
         resource == dialect.memory_percent || resource == dialect.cores;
}

/// One resource of one container as written, and where.
struct Written {
  std::string text;
  std::string where;
};

Result<std::optional<Written>> ReadFrom(const Value& container, std::string_view list,
                                        std::string_view resource, const std::string& path) {
  const Value* value = json::FindPath(container, {"resources", list, resource});
  if (value == nullptr) return std::nullopt;
  Written written{"", path + ".resources." + std::string(list) + "[" + std::string(resource) + "]"};
  if (!value->IsString() && !value->IsInt64()) {
    return Fail(Errc::kInvalidArgument, written.where + " must be a quantity");
  }
  written.text =
      value->IsString() ? std::string(json::View(*value)) : std::to_string(value->GetInt64());
  return written;
}

/// Limits, or requests where there is no limit; they must not differ.
Result<std::optional<Written>> Read(const Value& container, std::string_view resource,
                                    const std::string& path) {
  if (resource.empty()) return std::nullopt;
  TESSERA_TRY(auto limit, ReadFrom(container, "limits", resource, path));
  TESSERA_TRY(auto request, ReadFrom(container, "requests", resource, path));
  if (limit && request && limit->text != request->text) {
    const auto a = ParseWhole(limit->text);
    const auto b = ParseWhole(request->text);
    if (!a || !b || *a != *b) {
      return Fail(Errc::kInvalidArgument, limit->where + " says " + limit->text + ", but " +
                                              request->where + " says " + request->text);
    }
  }
  return limit ? limit : request;
}

Result<std::optional<Stated<std::int64_t>>> ReadWhole(const Value& container,
                                                      std::string_view resource,
                                                      const std::string& path) {
  TESSERA_TRY(const auto written, Read(container, resource, path));
  if (!written) return std::nullopt;
  const auto value = ParseWhole(written->text);
  if (!value) return Wrap(value.error(), written->where);
  return Stated<std::int64_t>{*value, written->where};
}

Result<void> ReadMemory(const Dialect& dialect, const Value& container, const std::string& path,
                        GpuStatement& into) {
  TESSERA_TRY(const auto written, Read(container, dialect.memory, path));
  if (written) {
    const auto units = ParseMemoryCount(written->text, dialect.memory_unit);
    if (!units) return Wrap(units.error(), written->where);
    if (*units != 0 || !dialect.lenient_memory) {
      std::int64_t mib = 0;
      if (__builtin_mul_overflow(*units, dialect.memory_unit_mib, &mib))
        mib = binpack::kMaxMemoryMib + 1;
      if (auto ok = StateMemoryMib(into, mib, written->where); !ok) return ok;
    }
  }
  TESSERA_TRY(const auto percent, ReadWhole(container, dialect.memory_percent, path));
  if (!percent) return {};
  if (dialect.lenient_memory && (percent->value == 0 || into.memory)) return {};
  return StateMemoryPercent(into, percent->value, percent->where);
}

Result<GpuStatement> ReadDialect(const Dialect& dialect, const Value& container,
                                 const std::string& path) {
  GpuStatement statement;
  TESSERA_TRY(const auto count, ReadWhole(container, dialect.count, path));
  if (count) {
    if (auto ok = StateCount(statement, count->value, count->where); !ok)
      return tl::make_unexpected(ok.error());
  }
  if (auto ok = ReadMemory(dialect, container, path, statement); !ok)
    return tl::make_unexpected(ok.error());
  TESSERA_TRY(const auto cores, ReadWhole(container, dialect.cores, path));
  if (cores) {
    if (auto ok = StateCores(statement, cores->value, cores->where); !ok)
      return tl::make_unexpected(ok.error());
  }
  return statement;
}

Result<void> RefuseUnknown(const Value& container, const std::string& path) {
  for (const std::string_view list : {"limits", "requests"}) {
    const Value* resources = json::FindPath(container, {"resources", list});
    if (resources == nullptr || !resources->IsObject()) continue;
    for (const auto& member : resources->GetObject()) {
      const auto name = json::View(member.name);
      if (!name.starts_with(names::kPrefix) || Speaks(kDialects[0], name)) continue;
      return Fail(Errc::kInvalidArgument, path + ".resources." + std::string(list) + "[" +
                                              std::string(name) +
                                              "] is not known; known are tessera.dev/gpu, "
                                              "gpu-memory, gpu-memory-percent and gpu-cores");
    }
  }
  return {};
}

}  // namespace

Result<GpuStatement> ReadResources(const Value& container, const std::string& path) {
  if (auto ok = RefuseUnknown(container, path); !ok) return tl::make_unexpected(ok.error());
  GpuStatement all;
  for (const Dialect& dialect : kDialects) {
    TESSERA_TRY(const auto one, ReadDialect(dialect, container, path));
    if (auto ok = Merge(all, one); !ok) return tl::make_unexpected(ok.error());
  }
  return all;
}

bool IsForeignGpuResource(std::string_view resource) {
  const auto speaks = [&](const Dialect& dialect) { return Speaks(dialect, resource); };
  return !resource.empty() &&
         (std::any_of(kDialects.begin() + 1, kDialects.end(), speaks) ||
          std::find(kIgnored.begin(), kIgnored.end(), resource) != kIgnored.end());
}

}  // namespace tessera::contract
