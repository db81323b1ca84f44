#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/kube/reply.h"

namespace tessera::sim {

/// labelSelector and fieldSelector of a request.
class Selector {
 public:
  using Values = std::map<std::string, std::string, std::less<>>;

  /// Labels: k=v, k==v, k!=v, k in (a,b), k notin (a,b), k, !k. Fields: k=v, k==v, k!=v with the
  /// fields of IsSelectableField. Refusals are 400.
  static Reply<Selector> Parse(std::string_view labels, std::string_view fields);
  bool Matches(const Values& labels, const Values& fields) const;

 private:
  enum class Op { kIn, kNotIn, kExists, kMissing };
  struct Term {
    std::string key;
    Op op = Op::kIn;
    std::vector<std::string> values;
  };
  static Reply<Term> ParseTerm(std::string_view text);
  static bool Holds(const Term& term, const Values& values);

  std::vector<Term> labels_;
  std::vector<Term> fields_;
};

/// Fields that may be selected by, whatever the resource ("spec.nodeName", "status.phase", …).
const std::vector<std::string>& SelectableFields();

}  // namespace tessera::sim
