#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

/// Multi-Instance GPU: which instances of a GPU can stand where, and where the next one should.
/// Pure. What a driver says about its own GPU (possible placements) is the truth; the families here
/// are for planning, simulation and tests.
namespace tessera::binpack::mig {

inline constexpr int kMaxSlots = 8;
inline constexpr std::size_t kMaxProfiles = 8;

/// A kind of GPU instance. It takes `slots` memory slots from its start on, and compute slices.
struct Profile {
  std::string_view name;
  int gi_profile_id = 0;
  int compute_slices = 0;
  int slots = 0;
  std::uint8_t starts = 0;    ///< bit i: may start at slot i
  bool media_engine = false;  ///< one such instance at a time on a GPU

  constexpr std::uint32_t Mask(int start) const { return ((1U << slots) - 1U) << start; }
};

/// GPUs with the same profiles.
struct Family {
  std::string_view name;
  int slots = 0;
  int compute_slices = 0;
  std::span<const Profile> profiles;  ///< ascending by size
};

/// A100-40GB, A100-80GB, A30-24GB, H100-80GB, H100-NVL-94GB, H100-96GB, GH200-144GB, H200-141GB,
/// B200-180GB, GB200-186GB, B300, GB300.
std::span<const Family> Families();
/// Null if there is none of that name.
const Family* FindFamily(std::string_view name);

/// What is taken of one GPU; two GPUs with equal states can take the same.
struct GpuState {
  std::uint8_t taken = 0;    ///< slots, bit by bit
  std::uint8_t compute = 0;  ///< slices in use
  bool media_engine = false;

  bool operator==(const GpuState&) const = default;
};

/// True if an instance of this profile may start there now.
bool CanPlace(const Family& family, const GpuState& state, const Profile& profile, int start);
/// REQUIRES: CanPlace for Add; the instance is there for Remove.
GpuState Add(const GpuState& state, const Profile& profile, int start);
GpuState Remove(const GpuState& state, const Profile& profile, int start);

/// Where each profile may start in each state, computed once for a family. Thread-compatible.
class StateTable {
 public:
  explicit StateTable(const Family& family);

  const Family& family() const { return family_; }
  /// Bit i: profile `profile` may start at slot i.
  std::uint8_t Starts(const GpuState& state, std::size_t profile) const {
    return entries_[Index(state)][profile];
  }

 private:
  static std::size_t Index(const GpuState& state) {
    return (static_cast<std::size_t>(state.compute) << 9U) |
           (static_cast<std::size_t>(state.media_engine ? 1 : 0) << 8U) | state.taken;
  }
  const Family& family_;
  std::vector<std::array<std::uint8_t, kMaxProfiles>> entries_;
};

}  // namespace tessera::binpack::mig
