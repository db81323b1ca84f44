#pragma once

#include <string>

#include <gtest/gtest.h>

#include "binpack/types.h"
#include "common/contract/pod_request.h"
#include "common/json/json.h"

namespace tessera::contract {

/// A pod from pieces of JSON: the members of metadata.annotations, and whole lists of containers.
inline std::string PodText(const std::string& annotations, const std::string& containers,
                           const std::string& init_containers = "[]") {
  return R"({"metadata":{"name":"p","namespace":"d","annotations":{)" + annotations +
         R"(}},"spec":{"initContainers":)" + init_containers + R"(,"containers":)" + containers +
         "}}";
}

inline std::string Container(const std::string& name, const std::string& limits,
                             const std::string& more = "") {
  return R"({"name":")" + name + R"(","resources":{"limits":{)" + limits + "}}" + more + "}";
}

inline Result<binpack::PodRequest> Decode(const std::string& pod) {
  const auto document = json::Parse(pod);
  if (!document) return tl::make_unexpected(document.error());
  return DecodePodRequest(*document);
}

}  // namespace tessera::contract
