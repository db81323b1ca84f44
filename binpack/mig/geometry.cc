#include "binpack/mig/geometry.h"

#include <algorithm>

namespace tessera::binpack::mig {

bool CanPlace(const Family& family, const GpuState& state, const Profile& profile, int start) {
  return start >= 0 && start < kMaxSlots && (profile.starts >> start & 1U) != 0 &&
         (state.taken & profile.Mask(start)) == 0 &&
         state.compute + profile.compute_slices <= family.compute_slices &&
         !(profile.media_engine && state.media_engine);
}

GpuState Add(const GpuState& state, const Profile& profile, int start) {
  return {.taken = static_cast<std::uint8_t>(state.taken | profile.Mask(start)),
          .compute = static_cast<std::uint8_t>(state.compute + profile.compute_slices),
          .media_engine = state.media_engine || profile.media_engine};
}

GpuState Remove(const GpuState& state, const Profile& profile, int start) {
  return {.taken = static_cast<std::uint8_t>(state.taken & ~profile.Mask(start)),
          .compute = static_cast<std::uint8_t>(state.compute - profile.compute_slices),
          .media_engine = state.media_engine && !profile.media_engine};
}

StateTable::StateTable(const Family& family) : family_(family), entries_(8U << 9U) {
  for (int compute = 0; compute <= family.compute_slices; ++compute) {
    for (int media = 0; media < 2; ++media) {
      for (int taken = 0; taken < 1 << family.slots; ++taken) {
        const GpuState state{static_cast<std::uint8_t>(taken), static_cast<std::uint8_t>(compute),
                             media == 1};
        for (std::size_t p = 0; p < family.profiles.size(); ++p) {
          std::uint8_t starts = 0;
          for (int start = 0; start < family.slots; ++start) {
            if (CanPlace(family, state, family.profiles[p], start)) {
              starts = static_cast<std::uint8_t>(starts | 1U << start);
            }
          }
          entries_[Index(state)][p] = starts;
        }
      }
    }
  }
}

const Family* FindFamily(std::string_view name) {
  const auto families = Families();
  const auto found = std::find_if(families.begin(), families.end(),
                                  [&](const Family& family) { return family.name == name; });
  return found == families.end() ? nullptr : &*found;
}

}  // namespace tessera::binpack::mig
