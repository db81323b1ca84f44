#include <array>

#include "binpack/mig/geometry.h"

// The profiles of each family of GPUs, as NVIDIA's MIG guide and `nvidia-smi mig -lgip` name them.
// All data-centre GPUs with eight memory slots share one geometry; only the names of the sizes
// differ.
namespace tessera::binpack::mig {
namespace {

using Names = std::array<std::string_view, 7>;

/// In the order of Profile size: 1g, 1g with media engines, 1g with two slots, 2g, 3g, 4g, 7g.
constexpr std::array<Profile, 7> EightSlots(const Names& names) {
  return {{{names[0], 19, 1, 1, 0b0111'1111, false},
           {names[1], 20, 1, 1, 0b0111'1111, true},
           {names[2], 15, 1, 2, 0b0101'0101, false},
           {names[3], 14, 2, 2, 0b0001'0101, false},
           {names[4], 9, 3, 4, 0b0001'0001, false},
           {names[5], 5, 4, 4, 0b0000'0001, false},
           {names[6], 0, 7, 8, 0b0000'0001, false}}};
}

constexpr std::array<Profile, 5> kA30{{{"1g.6gb", 14, 1, 1, 0b1111, false},
                                       {"1g.6gb+me", 21, 1, 1, 0b1111, true},
                                       {"2g.12gb", 5, 2, 2, 0b0101, false},
                                       {"2g.12gb+me", 6, 2, 2, 0b0101, true},
                                       {"4g.24gb", 0, 4, 4, 0b0001, false}}};
constexpr auto kA10040 =
    EightSlots({"1g.5gb", "1g.5gb+me", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"});
constexpr auto kA10080 =
    EightSlots({"1g.10gb", "1g.10gb+me", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"});
constexpr auto kH10080 =
    EightSlots({"1g.10gb", "1g.10gb+me", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"});
constexpr auto kH100NVL94 =
    EightSlots({"1g.12gb", "1g.12gb+me", "1g.24gb", "2g.24gb", "3g.47gb", "4g.47gb", "7g.94gb"});
constexpr auto kH10096 =
    EightSlots({"1g.12gb", "1g.12gb+me", "1g.24gb", "2g.24gb", "3g.48gb", "4g.48gb", "7g.96gb"});
constexpr auto kGH200144 =
    EightSlots({"1g.18gb", "1g.18gb+me", "1g.36gb", "2g.36gb", "3g.72gb", "4g.72gb", "7g.144gb"});
constexpr auto kH200141 =
    EightSlots({"1g.18gb", "1g.18gb+me", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"});
constexpr auto kB200180 =
    EightSlots({"1g.23gb", "1g.23gb+me", "1g.45gb", "2g.45gb", "3g.90gb", "4g.90gb", "7g.180gb"});
constexpr auto k200186 =
    EightSlots({"1g.23gb", "1g.23gb+me", "1g.47gb", "2g.47gb", "3g.93gb", "4g.93gb", "7g.186gb"});
constexpr auto kB300 =
    EightSlots({"1g.34gb", "1g.34gb+me", "1g.67gb", "2g.67gb", "3g.135gb", "4g.135gb", "7g.269gb"});
constexpr auto k300 =
    EightSlots({"1g.35gb", "1g.35gb+me", "1g.70gb", "2g.70gb", "3g.139gb", "4g.139gb", "7g.278gb"});

constexpr std::array<Family, 12> kFamilies{{{"A100-40GB", 8, 7, kA10040},
                                            {"A100-80GB", 8, 7, kA10080},
                                            {"A30-24GB", 4, 4, kA30},
                                            {"H100-80GB", 8, 7, kH10080},
                                            {"H100-NVL-94GB", 8, 7, kH100NVL94},
                                            {"H100-96GB", 8, 7, kH10096},
                                            {"GH200-144GB", 8, 7, kGH200144},
                                            {"H200-141GB", 8, 7, kH200141},
                                            {"B200-180GB", 8, 7, kB200180},
                                            {"GB200-186GB", 8, 7, k200186},
                                            {"B300", 8, 7, kB300},
                                            {"GB300", 8, 7, k300}}};

}  // namespace

std::span<const Family> Families() { return kFamilies; }

}  // namespace tessera::binpack::mig
