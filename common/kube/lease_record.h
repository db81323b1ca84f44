#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <rapidjson/document.h>

/// Who may lead, from what a Lease says and when we saw it change. Pure.
namespace tessera::kube {

/// The part of a coordination.k8s.io/v1 Lease that we use.
struct LeaseRecord {
  std::string holder = {};
  int duration_seconds = 0;
  int transitions = 0;
  std::string acquire_time = {};
  std::string renew_time = {};
  std::string resource_version = {};

  bool operator==(const LeaseRecord&) const = default;
};

/// Missing or mistyped fields read as empty.
LeaseRecord ReadLease(const rapidjson::Value& lease);
/// The whole object, for POST and PUT. With resource_version the write fails if somebody was
/// faster.
std::string WriteLease(const LeaseRecord& record, std::string_view ns, std::string_view name);

enum class LeaseStep {
  kCreate,   ///< there is none
  kAcquire,  ///< it is free, or its holder has stopped renewing
  kRenew,    ///< it is ours
  kWait,     ///< somebody else holds it
};

/// Judges a lease by the time at which we saw it change last: clocks of other machines do not
/// matter. One thread only.
class LeaseJudge {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  explicit LeaseJudge(std::string identity) : identity_(std::move(identity)) {}
  /// `seen` as it was read at `now`; none: there is no lease.
  LeaseStep Decide(const std::optional<LeaseRecord>& seen, TimePoint now);

 private:
  const std::string identity_;
  std::optional<LeaseRecord> last_;
  TimePoint changed_at_{};
};

/// What `step` writes over `seen`.
LeaseRecord NextRecord(LeaseStep step, const std::optional<LeaseRecord>& seen,
                       std::string_view identity, std::chrono::seconds duration,
                       std::chrono::system_clock::time_point now);

/// What gives the lease back: no holder, one second.
LeaseRecord Released(LeaseRecord held, std::chrono::system_clock::time_point now);

}  // namespace tessera::kube
