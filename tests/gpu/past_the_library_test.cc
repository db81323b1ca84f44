#include "tests/gpu/past_the_library.h"

#include <string>

#include <gtest/gtest.h>

namespace past_the_library {
namespace {

void* Open(const char* name) {
  void* const handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(handle, nullptr) << dlerror();
  return handle;
}

// Every name of the simulated driver's, with the linker's table of either kind.
class PastTheLibrary : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Tables, PastTheLibrary, testing::Values(PAST_GNU_HASH, PAST_SYSV_HASH));

TEST_P(PastTheLibrary, FindsWhatDlsymFinds) {
  void* const handle = Open(GetParam());
  const Library library(handle);
  for (int i = 0; i < 40; ++i) {
    const std::string name = "past_" + std::to_string(i);
    void* const found = library.Function(name.c_str());
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found, dlsym(handle, name.c_str())) << name;
    EXPECT_TRUE(library.Holds(found)) << name;
  }
}

TEST_P(PastTheLibrary, FindsOnlyItsOwnFunctions) {
  const Library library(Open(GetParam()));
  EXPECT_EQ(library.Function("past_40"), nullptr);
  EXPECT_EQ(library.Function(""), nullptr);
  EXPECT_EQ(library.Function("getpid"), nullptr) << "it only calls it";
  EXPECT_EQ(library.Function("past_number"), nullptr) << "data";
  EXPECT_EQ(library.Function("past_hidden"), nullptr);
  EXPECT_EQ(library.Function("past_chosen"), nullptr) << "an ifunc";
}

TEST_P(PastTheLibrary, HoldsNoStrangersAddress) {
  const Library library(Open(GetParam()));
  EXPECT_FALSE(library.Holds(nullptr));
  EXPECT_FALSE(library.Holds(reinterpret_cast<const void*>(&dlinfo)));
  EXPECT_FALSE(library.Holds(reinterpret_cast<const void*>(~std::uintptr_t{0})));
}

TEST(PastTheLibraryTest, WithoutALibraryThereIsNothing) {
  const Library library(nullptr);
  EXPECT_EQ(library.Function("getpid"), nullptr);
  EXPECT_FALSE(library.Holds(reinterpret_cast<const void*>(&dlinfo)));
}

// What is preloaded, or the program itself, may define the same name: dlsym's default then finds
// that one.
TEST(PastTheLibraryTest, GoesPastADefinitionThatComesFirst) {
  void* const first = dlopen(PAST_SYSV_HASH, RTLD_NOW | RTLD_GLOBAL);
  ASSERT_NE(first, nullptr);
  void* const second = Open(PAST_GNU_HASH);
  const Library library(second);
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "past_0"), dlsym(first, "past_0"));
  EXPECT_NE(library.Function("past_0"), dlsym(RTLD_DEFAULT, "past_0"));
  EXPECT_FALSE(library.Holds(dlsym(RTLD_DEFAULT, "past_0")));
}

}  // namespace
}  // namespace past_the_library
