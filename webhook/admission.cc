#include "webhook/admission.h"

#include "common/contract/names.h"
#include "webhook/mutators.h"
#include "webhook/validate.h"

namespace tessera::webhook {
namespace {

/// The API server shows the message to whoever created the pod, the code decides whether a client
/// tries again.
constexpr int kBadRequest = 400;
constexpr int kForbidden = 403;
constexpr int kUnprocessable = 422;

Decision Refused(int code, const Error& error) {
  return {.allowed = false, .patch = {}, .code = code, .message = error.message};
}

Patch Mutate(const AdmissionRequest& admission, const Options& options) {
  PodEditor editor(admission.pod);
  binpack::PodRequest request = *admission.asked;
  PlaceInstaller(editor, request, options);
  PinContainer(editor, admission.annotated_container);
  NormaliseResources(editor, request);
  SetScheduling(editor, options);
  PlaceVolumes(editor, request, options);
  EquipContainers(editor, request);
  HideGpus(editor, request);
  return editor.patch();
}

/// A debug container has no share of its own, so it sees no GPU. Only pods of ours: in others
/// nobody's limit is at stake.
Decision AdmitDebugSession(const AdmissionRequest& request) {
  if (!request.was_managed) return {};
  PodEditor editor(request.pod);
  for (std::size_t i = 0; i < request.pod.ephemeral_containers.size(); ++i) {
    const Container& container = request.pod.ephemeral_containers[i];
    if (request.old_ephemeral.contains(container.name)) continue;
    const ContainerRef ref{.list = ContainerList::kEphemeral, .index = static_cast<int>(i)};
    if (const auto ok = CheckNeighbour(container, ref); !ok) return Refused(kForbidden, ok.error());
    HideGpus(editor, ref);
  }
  return {.allowed = true, .patch = editor.patch(), .code = 0, .message = ""};
}

Decision AdmitPod(const AdmissionRequest& request, const Options& options) {
  if (request.event == Event::kOther) return {};
  if (request.event == Event::kDebugSession) return AdmitDebugSession(request);
  if (const auto ok = CheckSystemAnnotations(request.pod); !ok) {
    return Refused(kForbidden, ok.error());
  }
  if (IsMirrorPod(request.pod)) return {};
  if (!request.asked) return Refused(kUnprocessable, request.asked.error());
  if (request.asked->containers.empty()) return {};
  if (const auto ok = Validate(request.pod, *request.asked, options); !ok) {
    return Refused(kForbidden, ok.error());
  }
  return {.allowed = true, .patch = Mutate(request, options), .code = 0, .message = ""};
}

}  // namespace

Decision Admit(const Review& review, const Options& options) {
  if (review.request) return AdmitPod(*review.request, options);
  const Error& error = review.request.error();
  return Refused(kBadRequest, {error.code, "malformed AdmissionReview: " + error.message});
}

std::string_view OutcomeName(const Decision& decision) {
  if (decision.allowed) return decision.patch.empty() ? "allowed" : "patched";
  return decision.code == kBadRequest ? "malformed" : "refused";
}

}  // namespace tessera::webhook
