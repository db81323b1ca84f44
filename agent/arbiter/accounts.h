#pragma once

#include <cstdint>
#include <span>

#include "agent/arbiter/tenant.h"

/// What its time on the GPU costs each container. Pure; reasons in README.md.
namespace tessera::agent {

/// What has been since the last charge.
struct Elapsed {
  std::uint64_t ns = 0;
  bool windows = false;            ///< were handed out. While gates are open nothing costs anything
  const Tenant* holder = nullptr;  ///< of the window, if one was open
  /// Who made the window change hands just now; or null.
  const Tenant* changer = nullptr;
};

/// Sets the weight of each: its percents; those without any divide what is not promised.
void SetWeights(std::span<Tenant* const> tenants);

/// Time costs those that run, in equal parts: work of two that overlaps costs each half. The holder
/// of a window that others wait for pays whether it says that it runs or not; but while nobody runs
/// because the window has just changed hands, who made it do so pays. `credit_ns`: what one that
/// was away may come back with, of GPU time. `tenants`: all of the GPU.
void Charge(std::span<Tenant* const> tenants, const Elapsed& elapsed, std::uint64_t credit_ns);

}  // namespace tessera::agent
