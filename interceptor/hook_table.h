#pragma once

#include <string_view>

#include "common/abi/cuda.h"

namespace tessera {

/// False if neither of the functions below knows the name, which is soon said. Most names that
/// programs look up are not ours, and comparing them with every row would cost more than the
/// look-up itself.
[[gnu::hot]] bool MayBeHooked(std::string_view name);

/// Our function of that exported name, or null. Code, not an array: another preloaded library may
/// call dlsym before any load-time constructor has run.
void* FindHook(std::string_view symbol);

/// Our function for what cuGetProcAddress was asked: of the rows with that name and the flavour
/// that `flags` select, the newest that came with or before `cuda_version`; the plain flavour if
/// there is no other one.
void* FindHookFor(std::string_view name, int cuda_version, cuuint64_t flags);

}  // namespace tessera
