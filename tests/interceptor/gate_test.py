#!/usr/bin/env python3
"""A container's share of GPU time, held by the library itself. Usage: gate_test.py BUILD_FOLDER"""
import os
import time
import unittest

from container import GPUS
from gate import Gate


class Share(Gate):
    def test_the_share_holds_for_short_and_long_kernels(self):
        for percent, kernel_us in [(30, 50), (30, 500), (30, 5000), (20, 50000), (60, 500)]:
            with self.subTest(f"{percent} percent, {kernel_us} us"):
                seconds = 4 if kernel_us == 50000 else 2
                share = self.share(self.tenant(percent, kernel_us=kernel_us, seconds=seconds))
                self.assertHeld(share, percent, 8 if percent < 60 else 16)

    def test_the_share_holds_for_every_way_to_launch(self):
        for mode, below in [("sync", 10), ("graph", 8), ("streams", 8)]:
            with self.subTest(mode):
                self.assertHeld(self.share(self.tenant(30, "--mode", mode)), 30, below)

    def test_threads_and_processes_share_one_share(self):
        self.assertHeld(self.share(self.tenant(30, "--threads", 3)), 30)
        os.remove(self.path("region/region"))
        both = [self.tenant(40), self.tenant(40, kernel_us=2000)]
        shares = [self.share(process) for process in both]
        self.assertHeld(sum(shares), 40, 14)
        self.assertGreater(min(shares), 5)

    def test_containers_with_several_gpus_keep_each_share(self):
        self.assertHeld(self.share(self.tenant(30, gpus=2)), 30)

    def test_no_share_asked_for_is_no_share_kept(self):
        for percent, policy in [(0, "fixed-share"), (100, "fixed-share"), (30, "best-effort")]:
            with self.subTest(f"{policy} {percent}"):
                self.assertGreater(self.share(self.tenant(percent, policy=policy, seconds=1)), 80)

    def test_a_program_below_its_share_loses_little(self):
        alone = self.share(self.tenant(100, "--think-us", 6000, kernel_us=4000))
        held = self.share(self.tenant(60, "--think-us", 6000, kernel_us=4000))
        self.assertGreater(held, 0.9 * alone)

    def test_use_and_waiting_are_told(self):
        share = self.share(self.tenant(30, seconds=3))
        used, throttled = self.pace()
        self.assertAlmostEqual(used, 3 * share / 100, delta=0.25)
        self.assertGreater(throttled, 1.2)
        self.assertLess(throttled, 2.5)

    def test_a_running_program_follows_its_limits_file(self):
        limits = self.path("limits")
        for before, after in [(10, 60), (100, 20)]:
            with self.subTest(f"{before} to {after}"):
                with open(limits, "w") as file:
                    file.write(f"v1 fixed-share {GPUS[0]}:64:{before}")
                process = self.tenant(0, seconds=60, limits="", TESSERA_LIMITS_FILE=limits)
                time.sleep(1)
                with open(limits, "w") as file:
                    file.write(f"v1 fixed-share {GPUS[0]}:64:{after}")
                time.sleep(2)
                first, at = self.pace()[0], time.monotonic()
                time.sleep(2)
                self.assertHeld(100 * (self.pace()[0] - first) / (time.monotonic() - at), after, 16)
                process.kill()
                process.communicate()


if __name__ == "__main__":
    unittest.main(verbosity=2)
