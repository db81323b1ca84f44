#include "sim/probe/search.h"

#include <algorithm>

namespace tessera::probe {

FillResult Fill(const Allocate& allocate, std::size_t chunk, std::size_t smallest) {
  FillResult result;
  while (true) {
    const Allocation got = allocate(chunk);
    if (got.outcome == Outcome::kAllocated) {
      result.blocks.push_back({got.handle, chunk});
      result.held_bytes += chunk;
      continue;
    }
    if (got.outcome == Outcome::kOtherError) {
      result.other_error = got.error;
      return result;
    }
    ++result.refusals;
    if (chunk <= smallest) return result;
    chunk = std::max(chunk / 2, smallest);
  }
}

}  // namespace tessera::probe
