#pragma once

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>
#include <vector>

namespace tessera::test {

/// What the children of a test tell it, in memory that they share.
template <typename T>
class Shared {
 public:
  Shared()
      : value_(new (mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                         0)) T()) {}
  ~Shared() { munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

/// Runs `body` in a child that ends without running exit handlers, and with its parent: a failed
/// test leaves nobody behind.
template <typename Body>
pid_t Fork(const Body& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    _exit(0);
  }
  return pid;
}

inline int Wait(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

inline void Kill(pid_t pid) {
  kill(pid, SIGKILL);
  Wait(pid);
}

/// Ends the test program if that takes a minute: the child that should say so has died.
inline void SpinUntil(const std::atomic<int>& value, int wanted) {
  for (int i = 0; value.load() < wanted; ++i) {
    if (i > 1'000'000) abort();
    usleep(50);
  }
}

}  // namespace tessera::test
