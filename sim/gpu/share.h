#pragma once

#include <span>

namespace tessera::sim::gpu {

/// Share of a device that a process with queued work gets, averaged over an interval.
///
/// `busy` holds, for each other process, the part of the interval (0 to 1) in which it had work
/// queued too. n processes with work get 1/n each; while n > 1 the share `loss` of the time is
/// lost. Exact for one other process and for processes that were busy all the time or never; else
/// the busy times are taken to fall independently of each other.
double ShareOfDevice(std::span<const double> busy, double loss);

}  // namespace tessera::sim::gpu
