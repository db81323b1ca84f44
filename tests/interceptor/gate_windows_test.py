#!/usr/bin/env python3
"""The agent's windows, written here as the agent writes them. Usage: gate_windows_test.py BUILD_FOLDER"""
import os
import re
import struct
import threading
import time
import unittest

from container import GPUS
from gate import ALONE, DEMAND_AT, LANES_AT, MADE, OPEN_FOR_ALL, OPEN_IN_ROUNDS, Gate


class Windows(Gate):
    def test_windows_open_and_close_the_gate(self):
        period, window = 0.1, 0.04
        for policy, percent in [("fixed-share", 0), ("fixed-share", 100), ("burst-share", 30), ("best-effort", 0)]:
            with self.subTest(f"{policy} {percent}"):
                process = self.tenant(percent, policy=policy, seconds=30)
                time.sleep(0.3)
                share = self.share_while(2, lambda: time.monotonic() // period * period + window)
                self.assertHeld(share, 100 * window / period, 12)
                process.kill()
                os.remove(self.path("region/region"))

    def test_a_closed_gate_is_told_and_opens_without_an_agent_within_moments(self):
        process = self.tenant(0, seconds=4, kernel_us=2000)
        time.sleep(0.6)
        self.grant_until(time.monotonic() + 0.5, lambda: 0)
        launches = self.launches()
        self.assertEqual(self.demand(), [1, 0])
        self.grant_until(time.monotonic() + 0.5, lambda: 0)
        self.assertEqual(self.launches(), launches)
        self.grant_until(time.monotonic() + 0.5, lambda: time.monotonic() + 1)
        self.assertEqual(self.demand(), [0, 1])
        self.assertGreater(self.launches(), launches + 150)
        self.grant_until(time.monotonic() + 0.3, lambda: 0)
        launches = self.launches()
        time.sleep(0.3)
        self.assertGreater(self.launches(), launches + 25)
        self.assertGreater(self.share(process), 40)
        self.assertEqual(self.demand(), [0, 0])

    def test_an_idle_program_wants_nothing(self):
        process = self.tenant(0, "--think-us", 10_000_000, seconds=30, kernel_us=1000)
        time.sleep(0.8)
        for until in [lambda: OPEN_FOR_ALL, lambda: OPEN_IN_ROUNDS, lambda: time.monotonic() + 1, lambda: 0]:
            self.grant_until(time.monotonic() + 0.4, until)
            self.assertEqual(self.demand(), [0, 0])
        process.kill()

    def test_a_share_that_is_lent_out_is_a_share_without_an_agent(self):
        process = self.tenant(30, policy="burst-share", seconds=60)
        time.sleep(1)
        self.assertGreater(self.share_while(1.5, lambda: OPEN_FOR_ALL), 75)
        self.assertGreater(self.share_while(1.5, lambda: OPEN_IN_ROUNDS), 75)
        time.sleep(0.2)
        first, at = self.launches(), time.monotonic()
        time.sleep(1.5)
        self.assertHeld(100 * (self.launches() - first) * 500e-6 / (time.monotonic() - at), 30)
        process.kill()

    def test_the_cap_holds_inside_of_windows(self):
        process = self.tenant(30, seconds=60)
        time.sleep(0.5)
        for until in [OPEN_FOR_ALL, OPEN_IN_ROUNDS]:
            self.assertHeld(self.share_while(2, lambda: until), 30)
        process.kill()

    def test_what_is_no_grant_means_nothing(self):
        process = self.tenant(0, seconds=3)
        time.sleep(0.3)
        end = time.monotonic() + 2.7
        while time.monotonic() < end:
            self.grant(0, check=1)
            self.grant(0, heartbeat=time.monotonic() - 1)
            self.grant(0, heartbeat=time.monotonic() + 1000)
            time.sleep(0.001)
        self.assertGreater(self.share(process), 80)

    def test_what_was_launched_freely_is_waited_for_when_a_window_ends(self):
        """In whichever context it was, and however long ago."""
        for way in ["", "assert cuda.cuCtxCreate_v2(byref(other), 0, 0) == 0",
                    MADE + "assert cuda.cuCtxSetCurrent(other) == 0", MADE + "assert cuda.cuCtxPushCurrent_v2(other) == 0",
                    MADE + "assert cuda.cuCtxPushCurrent_v2(other) == cuda.cuCtxSetCurrent(current) == 0\n"
                    "assert launch(short) == cuda.cuCtxPopCurrent_v2(byref(current)) == 0\n"
                    "assert cuda.cuCtxSetCurrent(other) == 0",
                    "assert cuda.cuCtxCreate_v2(byref(other), 0, 0) == cuda.cuCtxSetCurrent(current) == 0\nlast = other"]:
            with self.subTest(way):
                process = self.start(ALONE + f"""
other, last = c_void_p(), None
assert launch(short) == 0
{way}
long, short = kernel()
assert launch(long, 1_500_000_000) == 0
if last: assert cuda.cuCtxDestroy_v2(last) == 0
tell("launched")
time.sleep(60)""", limits=f"v1 fixed-share {GPUS[0]}:1024:0")
                self.assertEqual(process.stdout.readline(), '"launched"\n')
                launched = time.monotonic()
                time.sleep(0.4)
                self.grant_until(launched + 1.2, lambda: 0)
                self.assertEqual(self.demand(), [0, 1])
                self.grant_until(launched + 1.9, lambda: 0)
                self.assertEqual(self.demand(), [0, 0])
                process.kill()
                process.communicate()
                os.remove(self.path("region/region"))

    def test_nothing_begins_to_run_after_the_agent_has_looked(self):
        process = self.tenant(0, "--period-us", 1000, seconds=60, kernel_us=500)
        time.sleep(0.5)
        region = os.open(self.path("region/region"), os.O_RDONLY)
        self.addCleanup(os.close, region)
        seen, surprises, end = 0, 0, time.monotonic() + 20
        while seen < 100 and time.monotonic() < end:
            self.grant(time.monotonic() + 1)
            time.sleep(0.004 + seen % 50 * 20e-6)
            at, launches = time.monotonic(), os.pread(region, 48, LANES_AT + 64)
            self.grant(0)
            running = any(os.pread(region, 16, DEMAND_AT + 16))
            if time.monotonic() - at > 0.0003 or running:  # shorter than a kernel: it would still run
                continue
            seen += 1
            time.sleep(0.003)
            surprises += os.pread(region, 48, LANES_AT + 64) != launches
        self.assertGreater(seen, 20)
        # A thread that loses its CPU on the way to the driver cannot be told from one that launches nothing.
        self.assertLess(surprises, 0.06 * seen)
        process.kill()

    def test_threads_that_launch_first_at_once_find_the_gate_closed(self):
        process = self.start(ALONE + """
tell("there")
sys.stdin.readline()
for _ in range(60):
    if (pid := os.fork()) == 0:
        cuda.cuInit(0)
        barrier = threading.Barrier(8)
        def first():
            barrier.wait()
            launch(short)
        for _ in range(8): threading.Thread(target=first, daemon=True).start()
        time.sleep(0.05)
        os._exit(0)
    os.waitpid(pid, 0)
tell("done")
""", limits=f"v1 fixed-share {GPUS[0]}:1024:0")
        self.assertEqual(process.stdout.readline(), '"there"\n')
        self.grant(0)
        process.stdin.write("\n")
        process.stdin.flush()
        while process.poll() is None:
            self.grant(0)
            time.sleep(0.005)
        self.assertEqual(process.communicate(), ('"done"\n', ""))
        through = sum(sum(struct.unpack_from("<Q8x4Q", self.region(), LANES_AT + slot * 16 * 128 + 64))
                      for slot in range(128))
        self.assertEqual(through, 0)

    def test_a_gate_that_was_closed_for_a_moment_holds_nobody_longer(self):
        process = self.tenant(0, "--period-us", 700, seconds=4, kernel_us=50)
        time.sleep(0.5)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            self.grant(time.monotonic() + 1)
            time.sleep(0.0003)
            self.grant(0)
            shut = time.monotonic() + 50e-6
            while time.monotonic() < shut:
                pass
        self.grant(OPEN_FOR_ALL)
        output, _ = process.communicate(timeout=60)
        self.assertLess(float(re.search(r"most_us=([\d.]+)", output).group(1)), 100_000, output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
