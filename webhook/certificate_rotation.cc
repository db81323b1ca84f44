#include "webhook/certificate_rotation.h"

#include <algorithm>

namespace tessera::webhook {
namespace {

bool CoversNames(const CertificateState& leaf, const std::vector<std::string>& names) {
  return std::is_permutation(leaf.names.begin(), leaf.names.end(), names.begin(), names.end());
}

WallTime RenewalTime(const CertificateState& leaf) {
  return leaf.not_before + (leaf.not_after - leaf.not_before) * 2 / 3;
}

}  // namespace

Renewal DecideRenewal(const std::optional<CertificateState>& authority,
                      const std::optional<CertificateState>& leaf,
                      const std::vector<std::string>& names, std::chrono::seconds leaf_life,
                      WallTime now) {
  if (!authority || !authority->key_matches || now < authority->not_before ||
      now + leaf_life > authority->not_after) {
    return Renewal::kAll;
  }
  if (!leaf || !leaf->key_matches || !leaf->signed_by_ca || !CoversNames(*leaf, names) ||
      now < leaf->not_before || now >= RenewalTime(*leaf)) {
    return Renewal::kLeaf;
  }
  return Renewal::kNone;
}

}  // namespace tessera::webhook
