#pragma once

#include <string>
#include <string_view>

#include <rapidjson/document.h>

#include "common/base/result.h"

/// AdmissionReview v1 as kube-apiserver sends and reads it for a pod's CREATE. Pure.
namespace tessera::sim {

struct AdmissionAnswer {
  bool allowed = false;
  int code = 403;          ///< of a refusal
  std::string message;     ///< of a refusal: the webhook's own words
  std::string json_patch;  ///< RFC 6902 text; empty: no change
};

/// The review of a pod that is about to be created. `uid` names this request. As in a real request
/// the object has apiVersion and kind, and no uid of its own yet.
std::string BuildReview(const rapidjson::Value& pod, std::string_view name_space,
                        std::string_view uid, bool dry_run);

/// Errors: anything that kube-apiserver counts as a failed call, such as another uid or a patch of
/// another type.
Result<AdmissionAnswer> ReadReview(std::string_view text, std::string_view uid);

}  // namespace tessera::sim
