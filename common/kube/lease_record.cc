#include "common/kube/lease_record.h"

#include "common/json/json.h"
#include "common/kube/micro_time.h"
#include "common/kube/object.h"

namespace tessera::kube {
namespace {

void WriteText(json::Writer& out, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  out.Key(key);
  out.String(text);
}

}  // namespace

LeaseRecord ReadLease(const rapidjson::Value& lease) {
  LeaseRecord record;
  record.resource_version = std::string(ResourceVersion(lease));
  const rapidjson::Value* spec = json::Find(lease, "spec");
  if (spec == nullptr) return record;
  record.holder = json::GetStringOr(*spec, "holderIdentity", "").value_or("");
  record.acquire_time = json::GetStringOr(*spec, "acquireTime", "").value_or("");
  record.renew_time = json::GetStringOr(*spec, "renewTime", "").value_or("");
  record.duration_seconds =
      static_cast<int>(json::GetIntOr(*spec, "leaseDurationSeconds", 0).value_or(0));
  record.transitions = static_cast<int>(json::GetIntOr(*spec, "leaseTransitions", 0).value_or(0));
  return record;
}

std::string WriteLease(const LeaseRecord& record, std::string_view ns, std::string_view name) {
  json::Writer out;
  out.StartObject();
  WriteText(out, "apiVersion", "coordination.k8s.io/v1");
  WriteText(out, "kind", "Lease");
  out.Key("metadata");
  out.StartObject();
  WriteText(out, "name", name);
  WriteText(out, "namespace", ns);
  WriteText(out, "resourceVersion", record.resource_version);
  out.EndObject();
  out.Key("spec");
  out.StartObject();
  out.Key("holderIdentity");
  out.String(record.holder);
  out.Key("leaseDurationSeconds");
  out.Int(record.duration_seconds);
  out.Key("leaseTransitions");
  out.Int(record.transitions);
  WriteText(out, "acquireTime", record.acquire_time);
  WriteText(out, "renewTime", record.renew_time);
  out.EndObject();
  out.EndObject();
  return out.Take();
}

LeaseStep LeaseJudge::Decide(const std::optional<LeaseRecord>& seen, TimePoint now) {
  if (!seen || seen != last_) {
    last_ = seen;
    changed_at_ = now;
  }
  if (!seen) return LeaseStep::kCreate;
  if (seen->holder == identity_) return LeaseStep::kRenew;
  if (seen->holder.empty()) return LeaseStep::kAcquire;
  return now - changed_at_ > std::chrono::seconds(seen->duration_seconds) ? LeaseStep::kAcquire
                                                                          : LeaseStep::kWait;
}

LeaseRecord NextRecord(LeaseStep step, const std::optional<LeaseRecord>& seen,
                       std::string_view identity, std::chrono::seconds duration,
                       std::chrono::system_clock::time_point now) {
  LeaseRecord next = seen.value_or(LeaseRecord{});
  next.duration_seconds = static_cast<int>(duration.count());
  next.renew_time = MicroTime(now);
  if (step == LeaseStep::kRenew) return next;
  next.holder = std::string(identity);
  next.acquire_time = next.renew_time;
  if (step == LeaseStep::kAcquire) ++next.transitions;
  return next;
}

LeaseRecord Released(LeaseRecord held, std::chrono::system_clock::time_point now) {
  held.holder.clear();
  held.duration_seconds = 1;
  held.renew_time = MicroTime(now);
  held.acquire_time = held.renew_time;
  return held;
}

}  // namespace tessera::kube
