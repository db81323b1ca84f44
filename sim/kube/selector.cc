#include "sim/kube/selector.h"

#include <algorithm>

namespace tessera::sim {
namespace {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// Cuts at commas that are not in parentheses.
std::vector<std::string_view> SplitTerms(std::string_view text) {
  std::vector<std::string_view> terms;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      terms.push_back(Trim(text.substr(begin, i - begin)));
      begin = i + 1;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')') {
      --depth;
    }
  }
  return terms;
}

tl::unexpected<Refusal> Bad(std::string_view term) {
  return Refuse(400, "BadRequest", "unable to parse requirement: " + std::string(term));
}

}  // namespace

const std::vector<std::string>& SelectableFields() {
  static const std::vector<std::string> kFields = {
      "metadata.name",
      "metadata.namespace",
      "spec.nodeName",
      "spec.schedulerName",
      "spec.unschedulable",
      "status.phase",
      "involvedObject.kind",
      "involvedObject.name",
      "involvedObject.namespace",
      "involvedObject.uid",
      "regarding.kind",
      "regarding.name",
      "regarding.namespace",
      "regarding.uid",
      "reason",
      "type",
  };
  return kFields;
}

Reply<Selector::Term> Selector::ParseTerm(std::string_view text) {
  if (text.empty()) return Bad(text);
  if (const auto open = text.find('('); open != std::string_view::npos) {
    if (text.back() != ')') return Bad(text);
    const std::string_view head = Trim(text.substr(0, open));
    const auto space = head.rfind(' ');
    if (space == std::string_view::npos) return Bad(text);
    const std::string_view word = head.substr(space + 1);
    if (word != "in" && word != "notin") return Bad(text);
    Term term{std::string(Trim(head.substr(0, space))), word == "in" ? Op::kIn : Op::kNotIn, {}};
    for (const auto value : SplitTerms(text.substr(open + 1, text.size() - open - 2))) {
      term.values.emplace_back(value);
    }
    return term;
  }
  if (const auto at = text.find('='); at != std::string_view::npos) {
    const bool negative = at > 0 && text[at - 1] == '!';
    std::string_view value = text.substr(at + 1);
    if (!negative && value.starts_with('=')) value.remove_prefix(1);
    const std::string_view key = Trim(text.substr(0, negative ? at - 1 : at));
    if (key.empty() || value.find('=') != std::string_view::npos) return Bad(text);
    return Term{std::string(key), negative ? Op::kNotIn : Op::kIn, {std::string(Trim(value))}};
  }
  if (text.front() == '!') return Term{std::string(Trim(text.substr(1))), Op::kMissing, {}};
  if (text.find(' ') != std::string_view::npos) return Bad(text);
  return Term{std::string(text), Op::kExists, {}};
}

Reply<Selector> Selector::Parse(std::string_view labels, std::string_view fields) {
  Selector selector;
  const auto parse = [](std::string_view text, std::vector<Term>& into) -> Reply<void> {
    if (Trim(text).empty()) return {};
    for (const auto each : SplitTerms(text)) {
      auto term = ParseTerm(each);
      if (!term) return tl::unexpected(term.error());
      into.push_back(*std::move(term));
    }
    return {};
  };
  if (const auto done = parse(labels, selector.labels_); !done) return tl::unexpected(done.error());
  if (const auto done = parse(fields, selector.fields_); !done) return tl::unexpected(done.error());
  for (const Term& term : selector.fields_) {
    const auto& known = SelectableFields();
    if (std::find(known.begin(), known.end(), term.key) == known.end() || term.values.size() != 1) {
      return Refuse(400, "BadRequest", "field label not supported: " + term.key);
    }
  }
  return selector;
}

bool Selector::Holds(const Term& term, const Values& values) {
  const auto found = values.find(term.key);
  const bool present = found != values.end();
  const bool listed = present && std::find(term.values.begin(), term.values.end(), found->second) !=
                                     term.values.end();
  switch (term.op) {
    case Op::kIn:
      return listed;
    case Op::kNotIn:
      return !listed;
    case Op::kExists:
      return present;
    case Op::kMissing:
      return !present;
  }
  return false;
}

bool Selector::Matches(const Values& labels, const Values& fields) const {
  const auto field_holds = [&](const Term& term) {
    // A field that is not set reads as the empty text: spec.nodeName= finds pods without a node.
    if (fields.contains(term.key)) return Holds(term, fields);
    return (term.op == Op::kIn) == term.values.front().empty();
  };
  return std::all_of(labels_.begin(), labels_.end(),
                     [&](const Term& term) { return Holds(term, labels); }) &&
         std::all_of(fields_.begin(), fields_.end(), field_holds);
}

}  // namespace tessera::sim
