#include "sim/kube/selector.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

TEST(Selector, MatchesLabels) {
  const Selector::Values labels = {{"app", "web"}, {"tier", "front"}, {"empty", ""}};
  struct Case {
    const char* selector;
    bool matches;
  };
  const Case cases[] = {
      {"", true},
      {" ", true},
      {"app=web", true},
      {"app==web", true},
      {"app = web", true},
      {"app=db", false},
      {"app!=db", true},
      {"app!=web", false},
      {"none!=x", true},
      {"none=x", false},
      {"app", true},
      {"none", false},
      {"!none", true},
      {"!app", false},
      {"app in (web,db)", true},
      {"app in ( db , cache )", false},
      {"app notin (db)", true},
      {"none notin (x)", true},
      {"app notin (web)", false},
      {"app=web,tier=front", true},
      {"app=web,tier=back", false},
      {"app in (web,db),!none,tier!=back", true},
      {"empty=", true},
      {"app=", false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.selector);
    const auto selector = Selector::Parse(c.selector, "");
    ASSERT_TRUE(selector) << selector.error().message;
    EXPECT_EQ(selector->Matches(labels, {}), c.matches);
  }
}

TEST(Selector, MatchesFieldsAndTakesMissingOnesForEmpty) {
  const Selector::Values fields = {{"metadata.name", "p"}, {"status.phase", "Running"}};
  struct Case {
    const char* selector;
    bool matches;
  };
  const Case cases[] = {
      {"metadata.name=p", true},
      {"metadata.name!=p", false},
      {"status.phase!=Succeeded,status.phase!=Failed", true},
      {"status.phase!=Running", false},
      {"spec.nodeName=", true},
      {"spec.nodeName!=", false},
      {"spec.nodeName=n1", false},
      {"spec.nodeName!=n1", true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.selector);
    const auto selector = Selector::Parse("", c.selector);
    ASSERT_TRUE(selector) << selector.error().message;
    EXPECT_EQ(selector->Matches({}, fields), c.matches);
  }
}

TEST(Selector, RefusesWhatItCannotRead) {
  for (const char* labels :
       {",", "a,", "=x", "a=b=c", "a in b", "a like (b)", "in (b)", "a in (b", "a b"}) {
    const auto selector = Selector::Parse(labels, "");
    EXPECT_FALSE(selector) << labels;
    if (!selector) {
      EXPECT_EQ(selector.error().code, 400);
    }
  }
  for (const char* fields :
       {"spec.unknown=1", "metadata.name", "!metadata.name", "metadata.name in (a,b)"}) {
    EXPECT_FALSE(Selector::Parse("", fields)) << fields;
  }
}

}  // namespace
}  // namespace tessera::sim
