// A shared library of forty functions, and of what is not one of its functions.
#include <unistd.h>

namespace {
int Chosen() { return 1; }
using Function = int (*)();
}  // namespace

extern "C" {

#define FUNCTION(number) \
  int past_##number() { return number; }
#define TEN(tens)   \
  FUNCTION(tens##0) \
  FUNCTION(tens##1) \
  FUNCTION(tens##2) \
  FUNCTION(tens##3) \
  FUNCTION(tens##4) \
  FUNCTION(tens##5) FUNCTION(tens##6) FUNCTION(tens##7) FUNCTION(tens##8) FUNCTION(tens##9)
TEN()
TEN(1)
TEN(2)
TEN(3)

int past_number = 0;
[[gnu::visibility("hidden")]] int past_hidden() { return getpid(); }
Function past_choose() { return Chosen; }
[[gnu::ifunc("past_choose")]] int past_chosen();
}
