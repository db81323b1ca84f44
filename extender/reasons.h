#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "extender/verdict.h"
#include "extender/wire.h"

namespace tessera::extender {

/// Gathers why nodes do not fit and words it for the pod's event.
///
/// kube-scheduler groups nodes whose reasons are the same text. So a reason carries the numbers of
/// the node that comes nearest among all nodes with the same shortage, not each node's own: "3
/// insufficient GPU memory: 3000 MiB asked, at most 2048 MiB free". One thread only.
class Reasons {
 public:
  /// A node that does not fit. Its name must outlive this. Resolvable: true if it may change
  /// without a new node or GPU.
  void Add(std::string_view node, const Verdict& verdict);
  /// Fills failed and failed_and_unresolvable.
  void Write(FilterResult& result) const;
  /// All of them in one line, as kube-scheduler would: "1 insufficient GPU memory: …, 2 …".
  std::string Summary() const;
  /// Nodes by shortage, for the metric; refusals count under "closed".
  std::map<std::string_view, int> Counts() const;

 private:
  /// Nodes that get the same text.
  struct Group {
    std::vector<binpack::Shortage> shortages;
    std::string_view refusal;
    bool resolvable;
    std::vector<std::string_view> nodes;
  };
  using Kind = std::pair<binpack::Shortage, bool>;  ///< with `resolvable`

  Group& GroupOf(const Verdict& verdict);
  std::string Word(const Group& group) const;

  std::vector<Group> groups_;
  std::map<Kind, binpack::Insufficient> nearest_;
};

/// True if the text has a reason of ours in it.
bool TellsReason(std::string_view text);
/// A short constant name of a shortage, for metrics: "memory".
std::string_view ShortageLabel(binpack::Shortage shortage);
/// All of them, and "closed".
std::vector<std::string_view> AllShortageLabels();

}  // namespace tessera::extender
