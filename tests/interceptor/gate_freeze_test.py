#!/usr/bin/env python3
"""Nothing is held up for ever: whatever ends, stops, forks or is scribbled on. Usage: gate_freeze_test.py BUILD_FOLDER"""
import os
import signal
import time
import unittest

from container import GPUS
from gate import ALONE, LAUNCHES, PACE_AT, Gate


class Freeze(Gate):
    def test_a_killed_process_leaves_nothing_closed(self):
        first = self.tenant(30, seconds=60)
        time.sleep(0.7)
        first.kill()
        first.communicate()
        self.assertHeld(self.share(self.tenant(30)), 30)

    def test_a_stopped_process_holds_nobody_up(self):
        first = self.tenant(50, seconds=60)
        time.sleep(0.7)
        first.send_signal(signal.SIGSTOP)
        self.addCleanup(first.send_signal, signal.SIGCONT)
        self.assertGreater(self.share(self.tenant(50)), 30)

    def test_whoever_scribbles_on_the_pace_is_not_stopped_by_it(self):
        process = self.tenant(30, seconds=3)
        time.sleep(0.7)
        with open(self.path("region/region"), "r+b") as file:
            file.seek(PACE_AT)
            file.write(b"\xff" * 32)
        self.assertHeld(self.share(process), 30, 12)

    def test_exit_fork_and_exec_while_launches_wait(self):
        for ending in ["os._exit(0)", "sys.exit(0)", "os.execv('/bin/true', ['true'])",
                       "pid = os.fork()\nif pid == 0: os._exit(7)\nassert os.waitpid(pid, 0)[1] == 7 << 8"]:
            with self.subTest(ending):
                self.run_in(LAUNCHES + ending, limits=f"v1 fixed-share {GPUS[0]}:64:5", timeout=20)

    def test_contexts_end_while_launches_go_on(self):
        self.run_in(LAUNCHES + """
for _ in range(20):
    other = c_void_p()
    assert cuda.cuCtxCreate_v2(byref(other), 0, 0) == 0
    one, two = kernel()
    for _ in range(2): assert launch(two) == 0
    assert cuda.cuCtxDestroy_v2(other) == 0
os._exit(0)""", limits=f"v1 fixed-share {GPUS[0]}:64:50", timeout=50)

    def test_streams_are_captured_while_launches_go_on_and_wait(self):
        self.run_in(LAUNCHES + """
stream, graph, instance = c_void_p(), c_void_p(), c_void_p()
assert cuda.cuStreamCreate(byref(stream), 1) == 0
for _ in range(30):
    assert cuda.cuStreamBeginCapture_v2(stream, 0) == 0
    for _ in range(100):
        result = cuda.cuLaunchKernel(short, 1, 1, 1, 1, 1, 1, 0, stream, None, None)
        assert result == 0, result
    time.sleep(0.01)
    result = cuda.cuStreamEndCapture(stream, byref(graph))
    assert result == 0, result
    assert cuda.cuGraphDestroy(graph) == 0
os._exit(0)""", limits=f"v1 fixed-share {GPUS[0]}:64:20", timeout=40)

    def test_nothing_waits_for_a_kernel_of_another_context(self):
        """It may be waiting for what we do."""
        for what, most in [("assert launch(short) == 0", 0.6), ("assert cuda.cuCtxDestroy_v2(other) == 0", 0.2),
                           ("assert cuda.cuStreamBeginCapture_v2(stream, 0) == 0", 0.6)]:
            with self.subTest(what):
                self.run_in(ALONE + f"""
other, stream = c_void_p(), c_void_p()
assert launch(long, 3_000_000_000) == 0
assert cuda.cuCtxCreate_v2(byref(other), 0, 0) == 0
assert cuda.cuStreamCreate(byref(stream), 1) == 0
long, short = kernel()
time.sleep(0.5)
at = time.monotonic()
{what}
took = time.monotonic() - at
assert took < {most}, took
os._exit(0)""", limits=f"v1 fixed-share {GPUS[0]}:1024:99", timeout=20)

    def test_a_gpu_is_not_held_up_by_a_long_kernel_on_another(self):
        limits = "v1 fixed-share " + " ".join(f"{uuid}:1024:50" for uuid in GPUS[:2])
        self.run_in(ALONE + """
first = current
context(1)
second_long, second_short = kernel()
for _ in range(3): assert launch(second_short) == 0
cuda.cuCtxSetCurrent(first)
assert launch(long, 3_000_000_000) == 0
time.sleep(0.3)
context(1)
at, cpu = time.monotonic(), time.process_time()
for _ in range(50): assert launch(second_long, 5_000_000) == 0
took = time.monotonic() - at
assert took < 1, took
time.sleep(1)
assert time.process_time() - cpu < 0.4
os._exit(0)""", limits=limits, timeout=20)

    def test_a_child_of_fork_is_refused_by_the_driver_and_not_held_up(self):
        self.run_in(LAUNCHES + """
pid = os.fork()
if pid == 0:
    for _ in range(1000): assert launch(short) == 3
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
os._exit(0)""", limits=f"v1 fixed-share {GPUS[0]}:64:5", timeout=20)

    def test_signals_reach_the_programs_own_threads(self):
        self.run_in(LAUNCHES + """
import signal
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(threading.get_ident()))
for task in os.listdir("/proc/self/task"):
    status = open(f"/proc/self/task/{task}/status").read()
    blocked = int(status.split("SigBlk:")[1].split()[0], 16)
    assert task == str(os.getpid()) or blocked >> 9 & 1 or task in mine, (task, hex(blocked))
os.kill(os.getpid(), signal.SIGUSR1)
assert got
os._exit(0)""", limits=f"v1 fixed-share {GPUS[0]}:64:30", timeout=20)


# Makes another context, and leaves the first one current, in which something was launched.


if __name__ == "__main__":
    unittest.main(verbosity=2)
