#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "binpack/types.h"
#include "common/base/result.h"
#include "webhook/patch.h"
#include "webhook/pod_view.h"

/// AdmissionReview v1 from and to JSON. Parsing is total: any text gives a Review.
namespace tessera::webhook {

/// What a review is about.
enum class Event {
  kOther,  ///< left alone whatever is in it
  kPodCreation,
  kDebugSession,  ///< update of pods/ephemeralcontainers
};

struct AdmissionRequest {
  Event event = Event::kOther;  ///< kOther: the rest is empty
  std::string pod_key;          ///< namespace/name for logs; a generated name stands as "prefix*"
  PodView pod;
  /// kDebugSession: whether the pod before the update is one of ours, and the names of its
  /// ephemeral containers. Of `pod` only the new ones count: the API server puts the rest back as
  /// it was, but only after we were asked.
  bool was_managed = false;
  std::set<std::string> old_ephemeral{};
  /// Whom the pod's gpu-… annotations speak of; nothing without them.
  std::optional<std::string> annotated_container;
  Result<binpack::PodRequest>
      asked;  ///< an error: the pod asks for a GPU in a way that cannot be read
};

struct Review {
  std::string uid;                   ///< empty if the review has none
  Result<AdmissionRequest> request;  ///< an error names the field
};

/// What admission decides; `patch` only if allowed, `message` and `code` (an HTTP status) only if
/// not.
struct Decision {
  bool allowed = true;
  Patch patch;
  int code = 0;
  std::string message;
};

Review ParseReview(std::string_view text);

/// The whole answer. The one place where the uid goes back.
std::string EncodeReview(std::string_view uid, const Decision& decision);

}  // namespace tessera::webhook
