#pragma once

#include <string_view>

#include "common/http/server.h"

namespace tessera::http {

/// The reason that Kubernetes gives with a status code: 404 is "NotFound". Empty for codes without
/// one.
std::string_view StatusReason(int code);

/// A Kubernetes Status object as the answer; `reason` empty: StatusReason(code).
Response StatusResponse(int code, std::string_view message, std::string_view reason = {});

}  // namespace tessera::http
