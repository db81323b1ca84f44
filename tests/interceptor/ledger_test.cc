#include "interceptor/ledger.h"

#include <atomic>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

namespace tessera {
namespace {

bool Put(Ledger& ledger, std::uint64_t key, std::uint64_t bytes, std::uint16_t device = 0) {
  Charge replaced;
  return ledger.Insert(key, {.bytes = bytes, .account = device}, replaced) && replaced.bytes == 0;
}

TEST(Ledger, GivesBackWhatItWasTold) {
  Ledger ledger;
  Charge charge;
  EXPECT_FALSE(ledger.Take(0x7f0000000000, charge));
  ASSERT_TRUE(Put(ledger, 0x7f0000000000, 512, 3));
  ASSERT_TRUE(ledger.Take(0x7f0000000000, charge));
  EXPECT_EQ(charge.bytes, 512u);
  EXPECT_EQ(charge.account, 3u);
  EXPECT_FALSE(ledger.Take(0x7f0000000000, charge)) << "a second free is not ours any more";
}

TEST(Ledger, ZeroIsNoKey) {
  Ledger ledger;
  Charge charge;
  EXPECT_FALSE(Put(ledger, 0, 1));
  EXPECT_FALSE(ledger.Take(0, charge));
}

TEST(Ledger, AnAddressThatComesAgainReplacesItsOldCharge) {
  Ledger ledger;
  Charge replaced;
  ASSERT_TRUE(ledger.Insert(8, {.bytes = 100, .account = 1}, replaced));
  ASSERT_TRUE(ledger.Insert(8, {.bytes = 7, .account = 2}, replaced));
  EXPECT_EQ(replaced.bytes, 100u);
  EXPECT_EQ(replaced.account, 1u);
  Charge charge;
  ASSERT_TRUE(ledger.Take(8, charge));
  EXPECT_EQ(charge.bytes, 7u);
}

TEST(Ledger, AnOwnersEntriesAreTakenTogetherAndNobodyElses) {
  Ledger ledger;
  Charge unused;
  constexpr std::uint64_t kCount = 5000;  // runs that wrap around the ends of the shards' tables
  for (std::uint64_t key = 1; key <= kCount; ++key) {
    const auto device = static_cast<std::uint16_t>(key % 2);
    ASSERT_TRUE(
        ledger.Insert(key * 512, {.bytes = key, .account = device, .owner = key % 3}, unused));
  }
  ASSERT_TRUE(ledger.Insert(7, {.bytes = 0, .pooled = true, .owner = 1}, unused));
  ledger.ChangeOwner(1, 99);
  std::uint64_t bytes[region::kMaxAccounts] = {};
  ledger.TakeAllOf(1, bytes);
  EXPECT_EQ(bytes[0] + bytes[1], 0u) << "they have another owner now";
  ledger.TakeAllOf(99, bytes);
  std::uint64_t want[2] = {};
  for (std::uint64_t key = 1; key <= kCount; ++key) want[key % 2] += key % 3 == 1 ? key : 0;
  EXPECT_EQ(bytes[0], want[0]);
  EXPECT_EQ(bytes[1], want[1]);
  for (std::uint64_t key = 1; key <= kCount; ++key) {
    EXPECT_EQ(ledger.Take(key * 512, unused), key % 3 != 1) << key;
  }
  EXPECT_TRUE(ledger.Take(7, unused)) << "a pool's block has no context";
}

TEST(Ledger, WhatIsKeptSaysSoWhenItsLastReferenceGoes) {
  Ledger ledger;
  Charge charge;
  EXPECT_FALSE(ledger.Keep(64));
  EXPECT_FALSE(ledger.Find(64, charge));
  ASSERT_TRUE(Put(ledger, 64, 2048));
  EXPECT_TRUE(ledger.Keep(64));
  ASSERT_TRUE(ledger.Find(64, charge));
  EXPECT_EQ(charge.bytes, 2048u);
  ASSERT_TRUE(ledger.Drop(64, charge));
  EXPECT_TRUE(charge.kept);
}

TEST(Ledger, AReferencedEntryGoesWithItsLastReference) {
  Ledger ledger;
  Charge last;
  EXPECT_FALSE(ledger.Retain(64));
  EXPECT_FALSE(ledger.Drop(64, last));
  ASSERT_TRUE(Put(ledger, 64, 2048, 1));
  EXPECT_TRUE(ledger.Retain(64));
  EXPECT_FALSE(ledger.Drop(64, last));
  EXPECT_TRUE(ledger.Drop(64, last));
  EXPECT_EQ(last.bytes, 2048u);
  EXPECT_EQ(last.account, 1u);
  EXPECT_FALSE(ledger.Retain(64));
  EXPECT_FALSE(ledger.Retain(0));
  EXPECT_FALSE(ledger.Drop(0, last));
}

// Against a map, with addresses as a driver gives them: dense, aligned, reused.
TEST(Ledger, AgreesWithAMapUnderChurn) {
  Ledger ledger;
  std::unordered_map<std::uint64_t, std::uint64_t> truth;
  std::mt19937_64 random(1);
  for (int i = 0; i < 300'000; ++i) {
    const std::uint64_t key = 0x7f0000000000 + (random() % 5000) * (i % 2 == 0 ? 512 : 2 << 20);
    Charge charge;
    if (truth.contains(key)) {
      ASSERT_TRUE(ledger.Take(key, charge));
      ASSERT_EQ(charge.bytes, truth[key]);
      truth.erase(key);
    } else {
      ASSERT_FALSE(ledger.Take(key, charge));
      const std::uint64_t bytes = random();
      ASSERT_TRUE(Put(ledger, key, bytes | 1));
      truth[key] = bytes | 1;
    }
  }
  for (const auto& [key, bytes] : truth) {
    Charge charge;
    ASSERT_TRUE(ledger.Take(key, charge));
    EXPECT_EQ(charge.bytes, bytes);
  }
}

TEST(Ledger, ThreadsDoNotDisturbEachOther) {
  Ledger ledger;
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (std::uint64_t i = 1; i <= 5000; ++i)
          wrong += Put(ledger, (i << 12) + t * 512, i) ? 0 : 1;
        for (std::uint64_t i = 5000; i > 0; --i) {
          Charge charge;
          wrong += ledger.Take((i << 12) + t * 512, charge) && charge.bytes == i ? 0 : 1;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Ledger, AForkedChildHasNoneOfItsParentsAllocations) {
  Ledger ledger;
  ASSERT_TRUE(Put(ledger, 4096, 1));
  ledger.ForgetAfterFork();
  Charge charge;
  EXPECT_FALSE(ledger.Take(4096, charge));
  EXPECT_TRUE(Put(ledger, 4096, 2));
}

}  // namespace
}  // namespace tessera
