#include "webhook/admission.h"

#include "webhook/mutators.h"
#include "webhook/validate.h"

namespace tessera::webhook {
namespace {

/// The API server shows the message to whoever created the pod, the code decides whether a client tries again.
constexpr int kForbidden = 403;
constexpr int kUnprocessable = 422;

Decision Refused(int code, const Error& error) {
  return {.allowed = false, .patch = {}, .code = code, .message = error.message};
}

Patch Mutate(const PodView& pod, binpack::PodRequest request, const Options& options) {
  PodEditor editor(pod);
  PlaceInstaller(editor, request, options);
  NormaliseResources(editor, request);
  SetScheduling(editor, options);
  PlaceVolumes(editor, request, options);
  EquipContainers(editor, request);
  HideGpus(editor, request);
  return editor.patch();
}

}  // namespace

Decision Admit(const AdmissionRequest& request, const Options& options) {
  if (!request.is_pod_creation || IsMirrorPod(request.pod)) return {};
  if (const auto ok = CheckSystemAnnotations(request.pod); !ok) {
    return Refused(kForbidden, ok.error());
  }
  if (!request.asked) return Refused(kUnprocessable, request.asked.error());
  if (request.asked->containers.empty()) return {};
  if (const auto ok = Validate(request.pod, *request.asked, options); !ok) {
    return Refused(kForbidden, ok.error());
  }
  return {.allowed = true,
          .patch = Mutate(request.pod, *request.asked, options),
          .code = 0,
          .message = ""};
}

}  // namespace tessera::webhook
