// A region file, as a tenant may leave it: the reader answers or refuses, and what it answers is
// within bounds. The input is written over a good file at the offset that its first four bytes say,
// so that short inputs reach far.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "interceptor/region/account.h"
#include "interceptor/region/reader.h"
#include "tests/fuzz/check.h"

using namespace tessera;

namespace {

std::unique_ptr<region::Layout> GoodFile() {
  auto file = std::make_unique<region::Layout>();
  file->header = {.magic = region::kMagic,
                  .version = region::kVersion,
                  .size = sizeof(region::Layout),
                  .device_count = 2,
                  .reserved = {}};
  strcpy(file->devices[0].uuid, "GPU-a");
  strcpy(file->devices[1].uuid, "GPU-b");
  file->owners[0].identity = region::PackIdentity(100, 200);
  file->owners[3].identity = region::PackIdentity(101, 200);
  region::Add(*file, 0, 0, 1000, 1 << 20);
  region::Add(*file, 3, 0, 5000, 1 << 20);
  region::Add(*file, 3, 1, 77, 1 << 20);
  region::Add(*file, 3, region::HostAccountOf(1), 55, 1 << 20);
  return file;
}

void CheckSnapshot(const region::RegionSnapshot& snapshot) {
  FUZZ_CHECK(snapshot.devices.size() <= region::kMaxDevices);
  FUZZ_CHECK(snapshot.processes.size() <= region::kMaxProcesses);
  std::uint64_t sum = 0;
  std::uint64_t total = 0;
  for (const auto& process : snapshot.processes) {
    FUZZ_CHECK(process.devices.size() == snapshot.devices.size());
    for (const auto& use : process.devices) {
      FUZZ_CHECK(use.used_bytes <= region::kMaxBytes && use.device < snapshot.devices.size());
      FUZZ_CHECK(use.host_bytes <= region::kMaxBytes);
      sum += use.used_bytes + use.host_bytes;
    }
  }
  for (const auto& device : snapshot.devices) {
    FUZZ_CHECK(!device.uuid.empty() && device.uuid.size() < region::kUuidSize);
    FUZZ_CHECK(device.limit_bytes <= region::kMaxBytes && device.cores_percent <= 100);
    FUZZ_CHECK(device.host_limit_bytes <= region::kMaxBytes);
    total += device.used_bytes + device.host_used_bytes;
  }
  FUZZ_CHECK(sum == total);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = GoodFile();
  auto* const bytes = reinterpret_cast<std::uint8_t*>(file.get());
  if (size > sizeof(std::uint32_t)) {
    std::uint32_t offset = 0;
    memcpy(&offset, data, sizeof(offset));
    offset %= sizeof(region::Layout);
    const std::size_t room = sizeof(region::Layout) - offset;
    memcpy(bytes + offset, data + sizeof(offset), std::min(size - sizeof(offset), room));
  }
  const auto snapshot =
      region::ParseRegion({reinterpret_cast<const std::byte*>(bytes), sizeof(region::Layout)});
  if (snapshot) CheckSnapshot(*snapshot);
  // The writer's side meets the same file. Any answer is right, but it must come, and change
  // nothing if it is no.
  const std::uint64_t before = region::TotalBytes(*file, 0);
  const region::Outcome outcome = region::Add(*file, 0, 0, 10, 1 << 20);
  if (outcome == region::Outcome::kDone) {
    FUZZ_CHECK(region::TotalBytes(*file, 0) == before + 10);
    FUZZ_CHECK(before + 10 <= 1 << 20);
  } else {
    FUZZ_CHECK(region::TotalBytes(*file, 0) == before);
  }
  return 0;
}
