#include "extender/bind.h"

#include <utility>

#include "common/base/log.h"
#include "common/contract/names.h"
#include "common/contract/pod_request.h"
#include "common/json/json.h"
#include "extender/wire_objects.h"

namespace tessera::extender {
namespace {

std::string PodPath(const BindingArgs& args) {
  return "/api/v1/namespaces/" + args.ns + "/pods/" + args.name;
}

ObjectMeta MetaOf(const BindingArgs& args) { return {args.ns, args.name, args.uid}; }

/// True if the server said for certain that it did not write.
bool Refused(const Error& error) {
  return error.code != Errc::kUnavailable && error.code != Errc::kInternal;
}

}  // namespace

Bind::Bind(kube::Client& client, Cache& cache, const Clock& clock,
           std::chrono::milliseconds give_up, std::function<bool()> synced)
    : client_(client),
      cache_(cache),
      clock_(clock),
      give_up_(give_up),
      synced_(std::move(synced)) {}

Result<binpack::PodRequest> Bind::RequestOf(const BindingArgs& args) const {
  if (auto held = cache_.HeldRequest(args.uid)) return *std::move(held);
  TESSERA_TRY(const auto pod, client_.Get(PodPath(args)));
  TESSERA_TRY(const auto meta, ReadMeta(pod));
  if (meta.uid != args.uid) {
    return Fail(Errc::kConflict,
                "the pod was made anew: its uid is " + meta.uid + ", not " + args.uid);
  }
  TESSERA_TRY(auto request, contract::DecodePodRequest(pod));
  if (!request.containers.empty() && !IsManaged(pod)) {
    return Fail(Errc::kInvalidArgument,
                "the pod asks for a GPU but has no label " + std::string(names::kManagedLabel) +
                    ": it was made while the webhook was away; make it anew");
  }
  return request;
}

Result<Bind::Found> Bind::Look(const BindingArgs& args, const std::string& assignment) const {
  const auto pod = client_.Get(PodPath(args));
  if (!pod && pod.error().code == Errc::kNotFound) return Found::kGone;
  if (!pod) return tl::make_unexpected(pod.error());
  TESSERA_TRY(const auto meta, ReadMeta(*pod));
  if (meta.uid != args.uid) return Found::kGone;
  const std::string node = NodeNameOf(*pod);
  if (node.empty()) return Found::kUnbound;
  const auto* annotation = json::FindPath(*pod, {"metadata", "annotations", names::kAssignment});
  const std::string found =
      annotation != nullptr && annotation->IsString() ? std::string(json::View(*annotation)) : "";
  return node == args.node && found == assignment ? Found::kBoundSo : Found::kBoundOtherwise;
}

Result<void> Bind::Write(const BindingArgs& args, const std::string& body) const {
  const auto written = client_.Post(PodPath(args) + "/binding", body);
  if (!written) return tl::make_unexpected(written.error());
  return {};
}

Result<void> Bind::Commit(const BindingArgs& args, const contract::Assignment& assignment) const {
  const auto annotations = contract::BindingAnnotations(assignment);
  const auto written = Write(args, BindingJson(MetaOf(args), args.node, annotations));
  if (written) {
    cache_.KeepPod(args.uid, Cache::Write::kArrived);
    return {};
  }
  if (written.error().code != Errc::kConflict && Refused(written.error())) {
    cache_.ForgetPod(args.uid);
    return written;
  }
  return Settle(args, contract::EncodeAssignment(assignment), written);
}

Result<void> Bind::Settle(const BindingArgs& args, const std::string& assignment,
                          const Result<void>& written) const {
  const auto found = Look(args, assignment);
  if (!found) {
    cache_.KeepPod(args.uid, Cache::Write::kUnknown);
    return written;
  }
  switch (*found) {
    case Found::kBoundSo:
      cache_.KeepPod(args.uid, Cache::Write::kArrived);
      return {};
    case Found::kUnbound:
      if (written.error().code == Errc::kConflict) {
        cache_.ForgetPod(args.uid);  // being deleted: ours did not arrive
      } else {
        cache_.KeepPod(args.uid, Cache::Write::kUnknown);
      }
      return written;
    case Found::kBoundOtherwise:  // nothing of ours can arrive any more: the watch knows the rest
      cache_.RejectPod(args.uid);
      return written;
    case Found::kGone:
      cache_.RemovePod(args.uid);
      return written;
  }
  return written;
}

Result<void> Bind::BindWithoutGpu(const BindingArgs& args) const {
  const auto written = Write(args, BindingJson(MetaOf(args), args.node, {}));
  if (written || written.error().code != Errc::kConflict) return written;
  const auto found = Look(args, "");
  return found && *found == Found::kBoundSo ? Result<void>{} : written;
}

Result<void> Bind::Handle(const BindingArgs& args) const {
  const auto deadline = clock_.Now() + give_up_;
  if (!synced_()) return Fail(Errc::kUnavailable, "cache not synced");
  TESSERA_TRY(const auto request, RequestOf(args));
  const auto too_late = [&] { return clock_.Now() >= deadline; };
  if (too_late())
    return Fail(Errc::kUnavailable, "the scheduler's time is over; nothing was written");
  if (request.containers.empty()) return BindWithoutGpu(args);
  const auto assignment = cache_.AssumePod(args.uid, args.node, request);
  if (!assignment) return tl::make_unexpected(assignment.error());
  const auto committed = Commit(args, *assignment);
  if (!committed) return committed;
  log::Info("pod bound", {{"pod", args.key()}, {"node", args.node}, {"uid", args.uid}});
  return {};
}

}  // namespace tessera::extender
