#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "interceptor/ledger.h"

/// The ledger with addresses of every distance: as right as a map, and nearly as quick as it gets.
namespace tessera {
namespace {

bool Put(Ledger& ledger, std::uint64_t key, std::uint64_t bytes) {
  Charge replaced;
  return ledger.Insert(key, {.bytes = bytes}, replaced) && replaced.bytes == 0;
}

constexpr std::uint64_t kBase = 0x7f12'3400'0000;
/// Distances of neighbours, bytes. 0: far from each other, multiples of 256 bytes.
constexpr std::uint64_t kStrides[] = {
    1, 8, 256, 512, 768, 4096, 32 << 10, 64 << 10, 2 << 20, 32 << 20, 1ull << 30, 1ull << 36, 0};

std::uint64_t Key(std::uint64_t stride, std::uint64_t number) {
  if (stride != 0) return kBase + stride * number;
  const std::uint64_t far = number * 0x9e37'79b9'7f4a'7c15 % (1ull << 36);  // none comes twice
  return kBase + far * 256;
}

/// What a table with other charges in it, of whatever order, must agree with.
bool operator==(const Charge& a, const Charge& b) {
  return a.bytes == b.bytes && a.account == b.account && a.pooled == b.pooled && a.kept == b.kept &&
         a.references == b.references && a.owner == b.owner;
}

class Twin {
 public:
  explicit Twin(std::uint64_t seed) : random_(seed) {}

  void Step(std::uint64_t key) {
    Charge told;
    const auto known = truth_.find(key);
    const bool there = known != truth_.end();
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2: {
        const Charge charge{.bytes = random_() | 1,
                            .account = static_cast<std::uint16_t>(random_() % 32),
                            .references = static_cast<std::uint32_t>(1 + random_() % 3),
                            .owner = random_() % 4};
        ASSERT_TRUE(ledger_.Insert(key, charge, told));
        EXPECT_TRUE(told == (there ? known->second : Charge{}));
        truth_[key] = charge;
        break;
      }
      case 3:
      case 4:
        ASSERT_EQ(ledger_.Take(key, told), there);
        EXPECT_TRUE(!there || told == known->second);
        if (there) truth_.erase(known);
        break;
      case 5:
        ASSERT_EQ(ledger_.Retain(key), there);
        if (there) ++known->second.references;
        break;
      case 6: {
        const bool last = there && --known->second.references == 0;
        ASSERT_EQ(ledger_.Drop(key, told), last);
        if (last) truth_.erase(known);
        break;
      }
      default:
        ASSERT_EQ(ledger_.Keep(key), there);
        if (there) known->second.kept = true;
    }
  }
  void OwnerEnds(std::uint64_t owner) {
    std::uint64_t told[region::kMaxAccounts] = {};
    std::uint64_t want[region::kMaxAccounts] = {};
    ledger_.ChangeOwner(owner + 1, owner);
    ledger_.TakeAllOf(owner, told);
    std::erase_if(truth_, [&](const auto& entry) {
      const Charge& charge = entry.second;
      const bool gone = charge.owner == owner || charge.owner == owner + 1;
      if (gone) want[charge.account] += charge.bytes;
      return gone;
    });
    EXPECT_TRUE(std::equal(told, told + region::kMaxAccounts, want));
  }
  void HasExactly() {
    for (const auto& [key, charge] : truth_) {
      Charge told;
      ASSERT_TRUE(ledger_.Find(key, told));
      EXPECT_TRUE(told == charge);
    }
    for (const auto& entry : truth_) {
      Charge told;
      ASSERT_TRUE(ledger_.Take(entry.first, told));
    }
    truth_.clear();
    for (std::uint64_t owner = 0; owner < 4; ++owner) OwnerEnds(owner);  // nothing is left
  }

 private:
  Ledger ledger_;
  std::map<std::uint64_t, Charge> truth_;
  std::mt19937_64 random_;
};

// Few keys that come and go, so that every kind of run is made, passed and closed again.
TEST(LedgerPlaces, AgreesWithAMapWhateverTheDistanceOfNeighbours) {
  for (const std::uint64_t stride : kStrides) {
    for (const std::uint64_t keys : {40, 3000}) {
      SCOPED_TRACE(testing::Message() << keys << " keys, " << stride << " bytes apart");
      Twin twin(stride + keys);
      std::mt19937_64 random(keys);
      for (int i = 0; i < 40'000; ++i) {
        twin.Step(Key(stride, random() % keys));
        if (i % 9000 == 8999) twin.OwnerEnds(random() % 3);
        if (testing::Test::HasFatalFailure()) return;
      }
      twin.HasExactly();
    }
  }
}

// A search that is right but walks through half of the table would be a disaster all the same.
TEST(LedgerPlaces, SearchesStayShortWhateverTheDistanceOfNeighbours) {
  constexpr std::uint64_t kSteps[] = {100, 1000, 20'000, 1'000'000};
  for (const std::uint64_t stride : kStrides) {
    Ledger ledger;
    std::uint64_t live = 0;
    for (const std::uint64_t count : kSteps) {
      for (; live < count; ++live) ASSERT_TRUE(Put(ledger, Key(stride, live), 1));
      std::uint64_t looks = 0;
      std::uint64_t longest = 0;
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t one = ledger.Looks(Key(stride, i));
        ASSERT_GT(one, 0u);
        looks += one;
        longest = std::max(longest, one);
      }
      const double mean = static_cast<double>(looks) / static_cast<double>(count);
      RecordProperty("mean_" + std::to_string(stride) + "_" + std::to_string(count),
                     std::to_string(mean));
      EXPECT_LT(mean, 2.0) << count << " keys, " << stride << " bytes apart";
      EXPECT_LT(longest, 64u) << count << " keys, " << stride << " bytes apart";
    }
  }
}

// What comes and goes must not leave searches long.
TEST(LedgerPlaces, SearchesStayShortAfterMuchChurn) {
  Ledger ledger;
  std::mt19937_64 random(3);
  std::vector<std::uint64_t> live;
  for (int i = 0; i < 400'000; ++i) {
    if (live.size() < 5000) {
      const std::uint64_t key = Key(512, static_cast<std::uint64_t>(i));
      ASSERT_TRUE(Put(ledger, key, 1));
      live.push_back(key);
    } else {
      std::swap(live[random() % live.size()], live.back());
      Charge charge;
      ASSERT_TRUE(ledger.Take(live.back(), charge));
      live.pop_back();
    }
  }
  std::uint64_t looks = 0;
  for (const std::uint64_t key : live) looks += ledger.Looks(key);
  EXPECT_LT(looks, 2 * live.size());
  EXPECT_EQ(ledger.Looks(Key(512, 1 << 30)), 0u);
}

// Tables grow while others search, free what they never had, and free twice.
TEST(LedgerPlaces, GrowsWhileOthersSearch) {
  Ledger ledger;
  constexpr std::uint64_t kKnown = 64;
  for (std::uint64_t i = 0; i < kKnown; ++i) ASSERT_TRUE(Put(ledger, Key(512, i), i + 1));
  std::atomic<bool> grown = false;
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        while (!grown) {
          for (std::uint64_t i = 0; i < kKnown; ++i) {
            Charge charge;
            wrong += ledger.Find(Key(512, i), charge) && charge.bytes == i + 1 ? 0 : 1;
            wrong += ledger.Take(Key(512, i) + 64, charge) ? 1 : 0;
          }
        }
      });
    }
    for (std::uint64_t i = kKnown; i < 50'000; ++i) wrong += Put(ledger, Key(512, i), i) ? 0 : 1;
    grown = true;
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tessera
