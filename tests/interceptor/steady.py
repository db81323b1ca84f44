"""Tests that measure time, on a machine that may have other things to do.

A test that failed while its machine was busy with others says nothing of what it tests: it is repeated, when they have gone or
after a while. One that fails on a machine that was free has failed. Whether it was is measured while the test runs, not guessed from its result."""
import contextlib
import os
import resource
import sys
import threading
import time
import unittest

ATTEMPTS = 3
MOST_LATE = 0.01  # of the time, a thread that wanted its CPU waited; the tests by themselves: 0.006 at most
MOST_PATIENCE_S = 60  # that repeats wait for others to go, all together
MOST_OTHERS = 0.25  # CPUs that others had; the tests by themselves: 0.02 at most


def all_cpus():
    """Seconds of CPU time that were not idle, those that a hypervisor took away included; 0 where the kernel does not tell."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return 0
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_cpus():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


class Watch:
    """How busy the machine was with others: what CPU time they had, and for how much of the time a thread that wants its CPU
    for a moment every 2 ms did not get it (which also shows who a machine's own counters do not)."""

    def __enter__(self):
        self._late, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._began, self._all, self._own = time.monotonic(), all_cpus(), own_cpus()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        seconds = time.monotonic() - self._began
        self.late = self._late / seconds
        own = own_cpus() - self._own
        self.others = (all_cpus() - self._all - own) / seconds
        self.own = own / seconds

    def _beat(self):
        while not self._over.is_set():
            at = time.monotonic()
            time.sleep(0.002)
            self._late += max(0, time.monotonic() - at - 0.003)

    def disturbed(self):
        """Who uses all CPUs himself waits for himself."""
        waited_for_others = self.late > MOST_LATE and self.own < len(os.sched_getaffinity(0)) - 0.7
        return waited_for_others or self.others > MOST_OTHERS


def go_first():
    """Before others on this machine, where that is allowed; after the arbiter, which asks for more."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)


class Patience:
    def __init__(self, seconds):
        self._left_s = seconds

    def wait_for_calm(self):
        busy = True
        while busy and self._left_s > 0:
            with Watch() as watch:
                time.sleep(1)
            self._left_s -= 1
            busy = watch.disturbed()


class Steady(unittest.TestCase):
    """Repeats a test that failed while the machine was busy with others, and says so."""

    _patience = Patience(MOST_PATIENCE_S)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        go_first()

    def run(self, result=None):
        result = result or self.defaultTestResult()
        result.startTest(self)
        for left in reversed(range(ATTEMPTS)):
            trial = unittest.TestResult()
            with Watch() as watch:
                super().run(trial)
            if left == 0 or trial.wasSuccessful() or not watch.disturbed():
                break
            print(f"failed while others had {watch.others:.2f} CPUs, its own waited {watch.late:.1%} of the time: once more",
                  file=sys.stderr, flush=True)
            self._patience.wait_for_calm()
        result.failures += trial.failures
        result.errors += trial.errors
        result.expectedFailures += trial.expectedFailures
        result.unexpectedSuccesses += trial.unexpectedSuccesses
        for test, reason in trial.skipped:
            result.addSkip(test, reason)
        if trial.wasSuccessful() and not trial.skipped:
            result.addSuccess(self)
        result.stopTest(self)
        return result
