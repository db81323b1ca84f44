#pragma once

#include <chrono>
#include <optional>
#include <string_view>

/// When a request may be sent again, and when. Pure: time and chance are arguments.
namespace tessera::kube {

struct RetryPolicy {
  std::chrono::milliseconds base{100};
  std::chrono::milliseconds max{10'000};
  int max_attempts = 6;
  /// No attempt begins later than this after the first one.
  std::chrono::milliseconds budget{10'000};
};

/// How one attempt ended.
struct Outcome {
  int status = 0;          ///< HTTP status; 0: no answer
  bool not_sent = false;   ///< no answer, and the server cannot have seen the request
  bool permanent = false;  ///< no answer, and another attempt would end the same way (TLS set-up)
  std::chrono::milliseconds retry_after{0};  ///< the server's wish; 0: none
};

/// min(max, base * 2^attempt) * chance, for attempt 0, 1, … and chance in [0, 1]: full jitter.
std::chrono::milliseconds Backoff(const RetryPolicy& policy, int attempt, double chance);

/// How long to wait before attempt number `attempt` + 1 (the first is 0); none: give up. GET is
/// repeated on 429, 5xx and lost connections; other methods only where the server has not acted: on
/// 429, and when nothing was sent. `elapsed` is the time since the call began.
std::optional<std::chrono::milliseconds> NextAttempt(const RetryPolicy& policy,
                                                     std::string_view method,
                                                     const Outcome& outcome, int attempt,
                                                     std::chrono::milliseconds elapsed,
                                                     double chance);

}  // namespace tessera::kube
