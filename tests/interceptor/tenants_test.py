#!/usr/bin/env python3
"""Containers that share a GPU, with the agent's arbiter between them. Usage: tenants_test.py BUILD_FOLDER
The GPU is simulated and sliced between processes as a real one is, time is real: bounds leave room for a machine that has
other things to do. tests/gpu/shares has the same cases on a real GPU."""
import contextlib
import os
import re
import signal
import struct
import subprocess
import threading
import time
import unittest

from container import BUILD, GPUS, PROGRAMS, Container
from steady import Steady

ARBITER = f"{BUILD}/tests/gpu/arbiter"
DEMAND_AT = 64 + 128


class Tenants(Steady, Container):
    def folder_of(self, name):
        path = self.path(f"region-{name}")
        os.makedirs(path, exist_ok=True)
        return path

    def arbitrate(self, **containers):
        """name=(policy, percent). It asks the simulated NVML how busy the GPU is."""
        process = subprocess.Popen([ARBITER, GPUS[0], *[f"{self.folder_of(name)}:{policy}:{percent}"
                                                        for name, (policy, percent) in containers.items()]],
                                   stdout=subprocess.DEVNULL, env=self.env(preload=""))
        self.addCleanup(self.stop, process)
        return process

    def tenant(self, name, policy, percent, *args, seconds=3, kernel_us=500, start_at=0):
        return self.start([f"{PROGRAMS}/share", "--seconds", str(seconds), "--kernel-us", str(kernel_us), "--kernel-ns",
                           str(kernel_us * 1000), "--start-at", str(start_at), *map(str, args)],
                          TESSERA_REGION_DIR=self.folder_of(name),
                          limits=f"v1 {policy} {GPUS[0]}:64:{percent}")

    def told(self, process):
        output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (0, ""), output)
        return {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", output)}

    def together(self, containers, **more):
        """Shares of greedy tenants that run at the same time."""
        named = {str(i): container for i, container in enumerate(containers)}
        arbiter = self.arbitrate(**named)
        at = time.time() + 1
        running = [self.tenant(name, *container, start_at=at, **more) for name, container in named.items()]
        shares = [self.told(process)["share"] for process in running]
        self.stop(arbiter)
        for name in named:
            os.remove(f"{self.folder_of(name)}/region")
        return shares

    def stop(self, *processes):
        for process in processes:
            process.kill()
            process.wait()

    def test_greedy_tenants_get_their_shares(self):
        for policy, percents, kernel_us in [("fixed-share", (50, 50), 500), ("fixed-share", (30, 70), 500),
                                            ("burst-share", (10, 20, 70), 2000), ("fixed-share", (25,) * 4, 500),
                                            ("burst-share", (10, 30), 100), ("burst-share", (30, 70), 30000)]:
            with self.subTest(f"{policy} {percents}, {kernel_us} us"):
                got = self.together([(policy, percent) for percent in percents], kernel_us=kernel_us)
                self.assertGreater(sum(got), 75, got)
                for share, percent in zip(got, percents):
                    self.assertAlmostEqual(share / sum(got), percent / sum(percents), delta=0.08, msg=got)

    def test_tenants_that_leave_the_gpu_idle_are_not_kept_apart(self):
        # Each works 2 of 5 ms. By turns of 20 ms each would get half of that, as it does in the first 0.6 s.
        work = ("--mode", "queued", "--think-us", 3000)
        alone = self.told(self.tenant("alone", "best-effort", 0, *work, kernel_us=2000))["share"]
        arbiter = self.arbitrate(one=("burst-share", 50), two=("burst-share", 50))
        at = time.time() + 1
        pair = [self.tenant(name, "burst-share", 50, *work, kernel_us=2000, start_at=at) for name in ("one", "two")]
        shares = [self.told(process)["share"] for process in pair]
        arbiter.send_signal(signal.SIGTERM)
        self.assertGreater(min(shares), 0.7 * alone, (shares, alone))

    def test_idle_time_is_lent(self):
        self.arbitrate(one=("burst-share", 30), two=("burst-share", 70))
        self.tenant("two", "burst-share", 70, "--think-us", 30_000_000, seconds=60)
        time.sleep(1)
        self.assertGreater(self.told(self.tenant("one", "burst-share", 30))["share"], 80)

    def test_a_cap_holds_though_the_neighbour_is_idle(self):
        self.arbitrate(one=("fixed-share", 30), two=("fixed-share", 70))
        self.tenant("two", "fixed-share", 70, "--think-us", 30_000_000, seconds=60)
        time.sleep(1)
        self.assertAlmostEqual(self.told(self.tenant("one", "fixed-share", 30))["share"], 30, delta=6)

    def test_best_effort_gets_what_is_left(self):
        self.arbitrate(one=("fixed-share", 40), rest=("best-effort", 0))
        at = time.time() + 1
        one = self.tenant("one", "fixed-share", 40, start_at=at)
        rest = self.tenant("rest", "best-effort", 0, start_at=at)
        one, rest = self.told(one)["share"], self.told(rest)["share"]
        self.assertAlmostEqual(one, 40, delta=8)
        self.assertGreater(rest, 35)

    def test_a_guaranteed_tenant_waits_for_one_window_at_most(self):
        self.arbitrate(one=("burst-share", 50), rest=("best-effort", 0))
        at = time.time() + 1
        rest = self.tenant("rest", "best-effort", 0, seconds=4, kernel_us=100, start_at=at)
        one = self.tenant("one", "burst-share", 50, "--period-us", 10000, seconds=4, kernel_us=100, start_at=at)
        self.assertLess(self.told(one)["p99_us"], 40_000)
        self.assertGreater(self.told(rest)["share"], 40)

    def test_who_works_now_and_then_does_not_wait_for_whole_windows(self):
        # 29 alone. If it waited for the end of each of the other's windows of 20 ms it had 15.
        self.arbitrate(one=("burst-share", 50), two=("burst-share", 50))
        at = time.time() + 1
        two = self.tenant("two", "burst-share", 50, seconds=4, start_at=at)
        one = self.tenant("one", "burst-share", 50, "--think-us", 10000, seconds=4, kernel_us=4000, start_at=at)
        self.assertGreater(self.told(one)["share"], 18)
        self.assertGreater(self.told(two)["share"], 50)

    def test_a_container_is_one_tenant_however_many_processes_it_has(self):
        self.arbitrate(many=("burst-share", 50), one=("burst-share", 50))
        at = time.time() + 1.5
        many = [self.tenant("many", "burst-share", 50, start_at=at) for _ in range(3)]
        one = self.tenant("one", "burst-share", 50, start_at=at)
        self.assertAlmostEqual(self.told(one)["share"], 47, delta=10)
        self.assertAlmostEqual(sum(self.told(process)["share"] for process in many), 47, delta=10)

    # --- Nothing ever freezes ---------------------------------------------------------------------
    @contextlib.contextmanager
    def neighbours(self):
        """Two greedy containers of 30 and 70 percent, and the arbiter."""
        self.arbiter = self.arbitrate(one=("fixed-share", 30), two=("fixed-share", 70))
        at = time.time() + 1
        pair = [self.tenant(name, "fixed-share", percent, seconds=60, start_at=at)
                for name, percent in [("one", 30), ("two", 70)]]
        time.sleep(2)
        try:
            yield pair
        finally:
            self.stop(*pair, self.arbiter)
            for name in ("one", "two"):
                os.remove(f"{self.folder_of(name)}/region")

    def share_of(self, name, seconds, kernel_us=500):
        def launches():
            with open(f"{self.folder_of(name)}/region", "rb") as file:
                own, _, *threads = struct.unpack_from("<6Q", file.read(), 6208 + 64)
            return own + sum(threads)
        first, at = launches(), time.monotonic()
        time.sleep(seconds)
        return 100 * (launches() - first) * kernel_us * 1e-6 / (time.monotonic() - at)

    def test_an_arbiter_that_is_killed_leaves_each_its_cap_and_one_that_comes_takes_over(self):
        with self.neighbours():
            self.stop(self.arbiter)
            time.sleep(0.2)
            one = self.share_of("one", 1.5)
            self.assertTrue(5 < one < 35, one)  # each counts the time of both
            self.arbiter = self.arbitrate(one=("fixed-share", 30), two=("fixed-share", 70))
            time.sleep(0.5)
            self.assertAlmostEqual(self.share_of("two", 2), 65, delta=10)
            self.arbiter.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            self.assertGreater(self.share_of("two", 1), 15)
            self.arbiter.send_signal(signal.SIGCONT)
            time.sleep(0.5)
            self.assertAlmostEqual(self.share_of("two", 2), 65, delta=10)

    def test_a_neighbour_that_is_killed_or_stopped_holds_nobody_up(self):
        for end in [signal.SIGSTOP, signal.SIGKILL]:
            with self.subTest(end.name), self.neighbours() as (_, two):
                two.send_signal(end)
                time.sleep(0.5)
                self.assertGreater(self.share_of("one", 1.5), 22)

    def scribble(self, name, words, end):
        with open(f"{self.folder_of(name)}/region", "r+b", buffering=0) as file:
            while time.monotonic() < end:
                file.seek(DEMAND_AT)
                file.write(words)
                time.sleep(0.0005)

    def test_who_scribbles_on_its_own_region_hurts_itself_alone(self):
        ones, zeros = b"\xff" * 16, b"\x00" * 16
        # Who says that it does not run while it does is as one without the library: the hardware slices the time.
        for wanting, running, least in [(ones, ones, 22), (zeros, ones, 22), (zeros, zeros, 12), (ones, zeros, 12)]:
            with self.subTest(f"{wanting[:1]} {running[:1]}"), self.neighbours():
                end = time.monotonic() + 1.8
                scribbler = threading.Thread(target=self.scribble, args=("two", wanting + running, end))
                scribbler.start()
                time.sleep(0.2)
                share = self.share_of("one", 1.5)
                scribbler.join()
                self.assertGreater(share, least)


if __name__ == "__main__":
    unittest.main(verbosity=2)
