#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "extender/verdict_cache.h"
#include "extender/wire.h"

namespace tessera::extender {

std::vector<std::string> AllNames(const ExtenderArgs& args);

/// Tells what each node of `args` is to its pod, in their order; holds that are the pod's own or
/// yield to its priority do not count. Nodes that the cache knows are judged by the cache; a whole
/// object of an unknown node (a simulation's) by the annotation it carries. Names live as long as
/// `args`.
void JudgeAll(const ExtenderArgs& args, VerdictCache::Reader& verdicts,
              const std::function<void(std::string_view name, const Verdict&)>& each);

}  // namespace tessera::extender
