#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

/// An HTTP/1.1 server for Kubernetes components, plain or TLS: JSON routes, health, metrics.
namespace tessera::http {

struct Request {
  std::string method = {};  ///< "GET", "POST", …
  std::string path = {};    ///< decoded, without the query
  std::multimap<std::string, std::string> query = {};
  std::multimap<std::string, std::string> headers = {};  ///< names in lower case
  std::string body = {};
  std::vector<std::string> matches =
      {};                        ///< groups of the route's regular expression, [0] the whole path
  std::string client_name = {};  ///< common name of the client's certificate; empty without one

  /// First value of a query parameter or a header; empty if there is none.
  std::string Query(const std::string& name) const;
  std::string Header(const std::string& lower_case_name) const;
};

struct Response {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  std::multimap<std::string, std::string> headers = {};
};

/// Thrown by a handler or a StreamBody: the connection is cut without an answer, or in the middle
/// of it.
struct CutConnection {};

using Handler = std::function<Response(const Request&)>;

/// Sends one piece of a streamed (chunked) answer. Returns false once the client has gone or the
/// server stops: the producer must end then. An empty piece sends nothing and only asks that: a
/// producer that waits for news asks several times a second.
using ChunkSink = std::function<bool(std::string_view)>;
/// Runs on the connection's thread until it returns; what it sends is flushed at once.
using StreamBody = std::function<void(const ChunkSink&)>;
struct StreamResponse {
  Response head =
      {};  ///< if status is not 200, `head` is the whole answer and `body` is not called
  StreamBody body = {};  ///< null: `head` is the whole answer
};
using StreamHandler = std::function<StreamResponse(const Request&)>;

struct ServerOptions {
  std::string bind_address = "127.0.0.1";
  int port = 0;  ///< 0: any free port
  /// PEM files; both empty: plain HTTP. Watched: a changed file is loaded without a restart.
  std::string cert_file = {};
  std::string key_file = {};
  /// PEM file; not empty: only clients with a certificate of this CA are answered (mutual TLS).
  /// Health and metrics need it as well; give probes their own plain server where that is not
  /// wanted.
  std::string client_ca_file = {};
  std::size_t max_body_bytes = std::size_t{7} << 20;
  std::chrono::seconds keep_alive{120};  ///< must outlive the 90 s of Go's clients
  /// Each has a thread only while it is open. At the limit the longest idle keep-alive connection
  /// is closed for a new one; while all are busy, the new one is refused (closed unanswered).
  /// Half of the process's descriptor limit is never exceeded.
  std::size_t max_connections = 1024;
  /// Changed certificate files are noticed by the first connection after this time.
  std::chrono::milliseconds certificate_check_interval{1000};
};

/// Thread-safe after Start; routes and checks are added before. Handlers run concurrently. Starts
/// once. Refusals (400, 404, 405, 413, …) are Kubernetes Status objects.
class Server {
 public:
  explicit Server(ServerOptions options);
  ~Server();  ///< stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// `pattern` is a regular expression over the whole path; the first route that fits wins. HEAD
  /// goes to GET's. Unknown paths answer 404, known ones with another method 405. An exception that
  /// escapes a handler becomes a 500 without details; its text goes to the log.
  void Route(std::string_view method, const std::string& pattern, Handler handler);
  void Stream(std::string_view method, const std::string& pattern, StreamHandler handler);

  /// /healthz and /livez answer 200 while the process lives; /readyz answers 503 with one line per
  /// check
  /// ("[-]name failed: reason") until every check returns an empty string, and again after Drain.
  void AddReadyCheck(std::string name, std::function<std::string()> check);
  /// GET /metrics: the text that `render` returns.
  void ServeMetrics(std::function<std::string()> render);

  /// Binds, starts the threads and returns the port. Errors: kUnavailable (address in use),
  /// kInvalidArgument (unreadable certificate, named).
  Result<int> Start();
  /// /readyz says 503 from now on; everything else still works.
  void Drain();
  /// Stops accepting, ends streams, waits for requests in flight, joins. Twice is fine.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One JSON route: parse, handle, answer. `parse` gives Result<Args>, `handle` takes Args and gives
/// the text of the answer, `fail` makes the text of the answer from an Error. The status is always
/// 200: kube-scheduler and kube-apiserver throw the body of any other status away.
template <typename Parse, typename Handle, typename OnError>
void PostJson(Server& server, const std::string& pattern, Parse parse, Handle handle,
              OnError fail) {
  server.Route("POST", pattern, [=](const Request& request) {
    auto args = parse(std::string_view(request.body));
    return Response{.body = args ? handle(*args) : fail(args.error())};
  });
}

}  // namespace tessera::http
