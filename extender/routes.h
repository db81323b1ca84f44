#pragma once

#include "common/base/clock.h"
#include "common/http/metrics.h"
#include "common/http/server.h"
#include "extender/bind.h"
#include "extender/filter.h"
#include "extender/prioritize.h"

namespace tessera::extender {

/// POST /filter, /prioritize, /bind. Each is counted and timed. All arguments must outlive the
/// server.
void AddRoutes(http::Server& server, const Filter& filter, const Prioritize& prioritize,
               const Bind& bind, http::Metrics& metrics, const Clock& clock);

}  // namespace tessera::extender
