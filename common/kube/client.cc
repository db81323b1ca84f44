#include "common/kube/client.h"

#include <condition_variable>
#include <mutex>
#include <random>
#include <utility>

#include "common/base/log.h"
#include "common/json/json.h"
#include "common/kube/answer.h"
#include "common/kube/curl_request.h"
#include "common/kube/random.h"
#include "common/kube/token_bucket.h"
#include "common/kube/token_source.h"

namespace tessera::kube {
namespace {

using rapidjson::Document;
using std::chrono::milliseconds;

constexpr std::size_t kMaxEvent = std::size_t{16} << 20;
constexpr int kMaxListRestarts = 5;
constexpr int kMinWatchSeconds = 300;
constexpr int kMaxWatchSeconds = 600;
// The server ends a watch after timeoutSeconds; when it has not by then, it is not there.
constexpr std::chrono::seconds kWatchGrace{60};

std::string ContentType(PatchType type) {
  switch (type) {
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kStrategicMerge:
      return "application/strategic-merge-patch+json";
    case PatchType::kJson:
      break;
  }
  return "application/json-patch+json";
}

class CurlClient final : public Client {
 public:
  CurlClient(Config config, const Clock& clock)
      : config_(std::move(config)),
        clock_(clock),
        transport_(config_),
        bucket_(config_.qps, config_.burst),
        token_(config_.token, config_.token_file, clock) {}

  Result<Document> Get(const std::string& path) override { return Json({.path = path}); }

  Result<Document> Post(const std::string& path, const std::string& body) override {
    return Json({.method = "POST", .path = path, .body = body, .content_type = "application/json"});
  }
  Result<Document> Put(const std::string& path, const std::string& body) override {
    return Json({.method = "PUT", .path = path, .body = body, .content_type = "application/json"});
  }
  Result<Document> Patch(const std::string& path, PatchType type,
                         const std::string& body) override {
    return Json({.method = "PATCH", .path = path, .body = body, .content_type = ContentType(type)});
  }
  Result<void> Delete(const std::string& path) override {
    const auto answer = Call({.method = "DELETE",
                              .path = path,
                              .body = R"({"kind":"DeleteOptions","apiVersion":"v1"})",
                              .content_type = "application/json"});
    if (!answer) return tl::unexpected(answer.error());
    return {};
  }

  Result<ListResult> List(const std::string& path) override {
    return ListParts(path, [](const rapidjson::Value& item, Document::AllocatorType& allocator) {
      return rapidjson::Value(item, allocator);
    });
  }
  Result<ListResult> ListParts(const std::string& path, const Keep& keep) override {
    for (int restarts = 0;; ++restarts) {
      auto result = ListPages(path, keep);
      // 410 in the middle: the snapshot that the pages were cut from has expired.
      if (result || result.error().code != Errc::kGone || restarts == kMaxListRestarts)
        return result;
    }
  }

  Result<void> Watch(const std::string& path, const std::string& resource_version,
                     const std::function<void(WatchEvent&)>& on_event,
                     std::stop_token stop) override;

  void Shutdown() override { shutdown_.request_stop(); }

 private:
  static std::string What(const HttpRequest& request) {
    return request.method + " " + request.path.substr(0, request.path.find('?'));
  }
  static Error Failure(const HttpRequest& request, const HttpAnswer& answer) {
    if (answer.outcome.status >= 400) {
      return AnswerError(What(request), answer.outcome.status, answer.body);
    }
    return {Errc::kUnavailable, What(request) + ": " + answer.error};
  }

  Result<std::string> Call(HttpRequest request);
  Result<Document> Json(HttpRequest request);
  Result<ListResult> ListPages(const std::string& path, const Keep& keep);
  /// False if the client is shut down meanwhile.
  bool Wait(std::chrono::nanoseconds time);

  const Config config_;
  const Clock& clock_;
  CurlTransport transport_;
  TokenBucket bucket_;
  TokenSource token_;
  std::stop_source shutdown_;
  std::mutex wait_mu_;
  std::condition_variable_any wait_;
};

bool CurlClient::Wait(std::chrono::nanoseconds time) {
  if (time.count() > 0) {
    std::unique_lock lock(wait_mu_);
    wait_.wait_for(lock, shutdown_.get_token(), time, [] { return false; });
  }
  return !shutdown_.stop_requested();
}

Result<std::string> CurlClient::Call(HttpRequest request) {
  const auto begun = clock_.Now();
  bool fresh_token = false;
  for (int attempt = 0;; ++attempt) {
    if (!Wait(bucket_.Take(clock_.Now()))) {
      return Fail(Errc::kUnavailable, What(request) + ": the client is shut down");
    }
    request.token = token_.Get();
    HttpAnswer answer = transport_.Send(request, shutdown_.get_token());
    const int status = answer.outcome.status;
    if (status >= 200 && status < 300) return std::move(answer.body);
    if (status == 401 && !std::exchange(fresh_token, true) && token_.Refused(request.token))
      continue;
    const auto elapsed = std::chrono::duration_cast<milliseconds>(clock_.Now() - begun);
    const auto wait = answer.stopped ? std::nullopt
                                     : NextAttempt(config_.retry, request.method, answer.outcome,
                                                   attempt, elapsed, RandomUnit());
    if (!wait) return tl::unexpected(Failure(request, answer));
    log::Debug("request is repeated", {{"reason", Failure(request, answer).message}});
    if (!Wait(*wait)) return tl::unexpected(Failure(request, answer));
  }
}

Result<Document> CurlClient::Json(HttpRequest request) {
  const std::string what = What(request);
  TESSERA_TRY(const std::string body, Call(std::move(request)));
  auto document = json::Parse(body);
  // The server's words are garbage: not what the caller asked wrongly.
  if (!document) return Fail(Errc::kUnavailable, what + ": answer is " + document.error().message);
  return document;
}

Result<ListResult> CurlClient::ListPages(const std::string& path, const Keep& keep) {
  ListResult result;
  result.items.SetArray();
  const std::string first = AddQuery(path, "limit", "500");
  for (std::string page = first;;) {
    TESSERA_TRY(const Document list, Json({.path = page}));
    const rapidjson::Value* metadata = json::Find(list, "metadata");
    if (metadata == nullptr) {
      return Fail(Errc::kUnavailable,
                  "GET " + path + ": answer is not a list: metadata is missing");
    }
    if (const rapidjson::Value* items = json::Find(list, "items");
        items != nullptr && items->IsArray()) {
      for (const rapidjson::Value& item : items->GetArray()) {
        result.items.PushBack(keep(item, result.items.GetAllocator()), result.items.GetAllocator());
      }
    }
    TESSERA_TRY(result.resource_version, json::GetStringOr(*metadata, "resourceVersion", ""));
    TESSERA_TRY(const std::string next, json::GetStringOr(*metadata, "continue", ""));
    if (next.empty()) return result;
    page = AddQuery(first, "continue", next);
  }
}

Result<void> CurlClient::Watch(const std::string& path, const std::string& resource_version,
                               const std::function<void(WatchEvent&)>& on_event,
                               std::stop_token stop) {
  // Spread, so that the watches of many clients do not all end at once.
  const int seconds =
      kMinWatchSeconds + static_cast<int>(RandomUnit() * (kMaxWatchSeconds - kMinWatchSeconds));
  std::string query = AddQuery(AddQuery(path, "watch", "1"), "allowWatchBookmarks", "true");
  query = AddQuery(query, "timeoutSeconds", std::to_string(seconds));
  if (!resource_version.empty()) query = AddQuery(query, "resourceVersion", resource_version);

  LineSplitter lines(kMaxEvent);
  std::optional<Error> problem;
  HttpRequest request{.path = query, .token = token_.Get()};
  request.stream_timeout = std::chrono::seconds(seconds) + kWatchGrace;
  request.on_bytes = [&](std::string_view bytes) {
    const bool fits = lines.Feed(bytes, [&](std::string_view line) {
      if (problem) return;
      auto event = ParseWatchEvent(line);
      if (event) return on_event(*event);
      problem = event.error();
    });
    if (!fits)
      problem = Error{Errc::kUnavailable,
                      "watch: event is larger than " + std::to_string(kMaxEvent) + " bytes"};
    return !problem && !stop.stop_requested();
  };
  std::stop_source either;
  const std::stop_callback from_caller(stop, [&] { either.request_stop(); });
  const std::stop_callback from_shutdown(shutdown_.get_token(), [&] { either.request_stop(); });
  HttpAnswer answer = transport_.Send(request, either.get_token());
  if (answer.outcome.status == 401 && token_.Refused(request.token)) {
    request.token = token_.Get();
    answer = transport_.Send(request, either.get_token());
  }
  if (stop.stop_requested()) return {};
  if (problem)
    return tl::unexpected(
        Error{problem->code == Errc::kInvalidArgument ? Errc::kUnavailable : problem->code,
              problem->message});
  if (answer.outcome.status != 200) return tl::unexpected(Failure(request, answer));
  if (lines.partial())
    return Fail(Errc::kUnavailable, What(request) + ": watch ended inside an event");
  return {};
}

}  // namespace

Result<ListResult> Client::ListParts(const std::string& path, const Keep& keep) {
  TESSERA_TRY(const ListResult whole, List(path));
  ListResult parts{.resource_version = whole.resource_version, .items = {}};
  parts.items.SetArray();
  auto& allocator = parts.items.GetAllocator();
  for (const rapidjson::Value& item : whole.items.GetArray()) {
    parts.items.PushBack(keep(item, allocator), allocator);
  }
  return parts;
}

std::unique_ptr<Client> MakeClient(Config config, const Clock& clock) {
  return std::make_unique<CurlClient>(std::move(config), clock);
}

}  // namespace tessera::kube
