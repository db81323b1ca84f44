#include "common/http/connection_table.h"

#include <gtest/gtest.h>

namespace tessera::http {
namespace {

constexpr int kNoSocket = -1;  // shutdown(2) fails on it, which the table does not mind

TEST(ConnectionTable, EvictsTheLongestIdleAtTheLimit) {
  ConnectionTable table(2);
  const auto a = table.Admit(kNoSocket).id;
  const auto b = table.Admit(kNoSocket).id;
  table.MarkIdle(b);
  table.MarkIdle(a);
  const auto c = table.Admit(kNoSocket);
  EXPECT_NE(c.id, 0U);
  EXPECT_TRUE(c.evicted_another);
  EXPECT_FALSE(table.MarkBusy(b)) << "b was idle longest";
  EXPECT_TRUE(table.MarkBusy(a));
  EXPECT_EQ(table.size(), 2U);
}

TEST(ConnectionTable, RefusesWhileAllAreBusy) {
  ConnectionTable table(1);
  const auto a = table.Admit(kNoSocket).id;
  EXPECT_EQ(table.Admit(kNoSocket).id, 0U);
  table.MarkIdle(a);
  EXPECT_TRUE(table.MarkBusy(a));
  EXPECT_EQ(table.Admit(kNoSocket).id, 0U) << "busy again";
  table.Remove(a);
  EXPECT_NE(table.Admit(kNoSocket).id, 0U);
}

TEST(ConnectionTable, ToleratesWhatItDoesNotKnow) {
  ConnectionTable table(1);
  const auto a = table.Admit(kNoSocket).id;
  table.MarkIdle(a);
  table.MarkIdle(a);
  table.Remove(a);
  table.Remove(a);
  table.MarkIdle(a);
  EXPECT_FALSE(table.MarkBusy(a));
  EXPECT_EQ(table.size(), 0U);
}

}  // namespace
}  // namespace tessera::http
