#pragma once

#include <string>
#include <string_view>

namespace tessera::webhook {

/// RFC 4648 with padding: what AdmissionReview wants its patch in.
std::string EncodeBase64(std::string_view bytes);

}  // namespace tessera::webhook
