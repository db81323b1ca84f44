#include "agent/xid_watch.h"

#include <algorithm>
#include <array>

namespace tessera::agent {
namespace {

/// More than this in one poll is a storm; the rest comes with the next one.
constexpr int kMostEvents = 256;

/// Exceptions of the program's own code, its page faults, and the ends of programs that follow from
/// them.
constexpr std::array<unsigned long long, 6> kProgramFaults = {13, 31, 43, 45, 68, 109};

}  // namespace

XidWatch::XidWatch(const NvmlFunctions& functions) : f_(functions) {
  const bool able = f_.event_set_create != nullptr && f_.register_events != nullptr &&
                    f_.event_set_wait != nullptr && f_.event_set_free != nullptr;
  if (!able || f_.event_set_create(&set_) != NVML_SUCCESS) set_ = nullptr;
}

XidWatch::~XidWatch() {
  if (set_ != nullptr) f_.event_set_free(set_);
}

void XidWatch::Add(nvmlDevice_t device) {
  if (set_ != nullptr) f_.register_events(device, nvmlEventTypeXidCriticalError, set_);
}

void XidWatch::Poll() {
  nvmlEventData_t event{};
  for (int i = 0; set_ != nullptr && i < kMostEvents; ++i) {
    if (f_.event_set_wait(set_, &event, 0) != NVML_SUCCESS) return;
    if (event.eventType == nvmlEventTypeXidCriticalError && IsHardwareFault(event.eventData)) {
      xids_[event.device] = static_cast<int>(event.eventData);
    }
  }
}

int XidWatch::Take(nvmlDevice_t device) {
  const auto found = xids_.find(device);
  if (found == xids_.end()) return 0;
  const int xid = found->second;
  xids_.erase(found);
  return xid;
}

bool IsHardwareFault(unsigned long long xid) {
  return std::find(kProgramFaults.begin(), kProgramFaults.end(), xid) == kProgramFaults.end();
}

}  // namespace tessera::agent
