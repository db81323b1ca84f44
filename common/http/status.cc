#include "common/http/status.h"

#include "common/json/json.h"

namespace tessera::http {

std::string_view StatusReason(int code) {
  switch (code) {
    case 400:
      return "BadRequest";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 405:
      return "MethodNotAllowed";
    case 406:
      return "NotAcceptable";
    case 409:
      return "Conflict";
    case 410:
      return "Expired";
    case 413:
      return "RequestEntityTooLarge";
    case 415:
      return "UnsupportedMediaType";
    case 422:
      return "Invalid";
    case 429:
      return "TooManyRequests";
    case 500:
      return "InternalError";
    case 503:
      return "ServiceUnavailable";
    case 504:
      return "Timeout";
    default:
      return "";
  }
}

Response StatusResponse(int code, std::string_view message, std::string_view reason) {
  json::Writer out;
  out.StartObject();
  out.Key("kind");
  out.String("Status");
  out.Key("apiVersion");
  out.String("v1");
  out.Key("metadata");
  out.StartObject();
  out.EndObject();
  out.Key("status");
  out.String(code < 400 ? "Success" : "Failure");
  out.Key("message");
  out.String(message);
  out.Key("reason");
  out.String(reason.empty() ? StatusReason(code) : reason);
  out.Key("code");
  out.Int(code);
  out.EndObject();
  return {.status = code, .body = out.Take()};
}

}  // namespace tessera::http
