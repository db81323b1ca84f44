#pragma once

#include "common/base/clock.h"
#include "common/http/metrics.h"
#include "common/http/server.h"
#include "extender/bind.h"
#include "extender/filter.h"
#include "extender/preempt.h"
#include "extender/prioritize.h"

namespace tessera::extender {

/// The verbs; all must outlive the server.
struct Verbs {
  const Filter& filter;
  const Prioritize& prioritize;
  const Bind& bind;
  const Preempt& preempt;
};

/// POST /filter, /prioritize, /bind, /preempt. Each is counted and timed. All arguments must
/// outlive the server.
void AddRoutes(http::Server& server, const Verbs& verbs, http::Metrics& metrics,
               const Clock& clock);

}  // namespace tessera::extender
