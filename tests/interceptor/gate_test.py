#!/usr/bin/env python3
"""A container's share of GPU time, held by the library itself. Usage: gate_test.py BUILD_FOLDER
The GPU is simulated, time is real: bounds leave room for a machine that has other things to do."""
import os
import re
import signal
import struct
import subprocess
import time
import unittest

from container import GPUS, PROGRAMS, Container

PACE_AT = 64 + 80
DEMAND_AT, GRANT_AT, LANES_AT = 64 + 128, 64 + 192, 6208
OPEN_FOR_ALL, OPEN_IN_ROUNDS = (1 << 64) - 1, (1 << 64) - 2


class Gate(Container):
    def tenant(self, percent, *args, policy="fixed-share", seconds=2, kernel_us=500, gpus=1, **env):
        env.setdefault("limits", f"v1 {policy} " + " ".join(f"{uuid}:64:{percent}" for uuid in GPUS[:gpus]))
        return self.start([f"{PROGRAMS}/share", "--seconds", str(seconds), "--kernel-us", str(kernel_us),
                           "--kernel-ns", str(kernel_us * 1000), *map(str, args)], **env)

    def share(self, process):
        output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (0, ""), output)
        return float(re.match(r"share=([\d.]+)", output).group(1))

    def pace(self, device=0):
        """(used seconds, throttled seconds)"""
        return [ns / 1e9 for ns in struct.unpack_from("<2Q", self.region(), PACE_AT + 256 * device + 16)]

    def assertHeld(self, share, percent, below=8):
        self.assertLess(share, percent + 3)
        self.assertGreater(share, percent - below)

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

    # --- The agent's windows --------------------------------------------------------------------
    def grant(self, until, heartbeat=None, check=0):
        """Writes what the agent would write. Times in seconds of CLOCK_MONOTONIC; 0: closed."""
        words = [until if until >= OPEN_IN_ROUNDS else int(until * 1e9), 0,
                 int((time.monotonic() if heartbeat is None else heartbeat) * 1e9)]
        check += (words[0] ^ 0x746e617247205354) + 3 * words[1] + 5 * words[2]
        with open(self.path("region/region"), "r+b", buffering=0) as file:
            file.seek(GRANT_AT)
            file.write(struct.pack("<4Q", *words, check % (1 << 64)))

    def launches(self):
        """Launches of the first process's first GPU."""
        own, _, *threads = struct.unpack_from("<6Q", self.region(), LANES_AT + 64)
        return own + sum(threads)

    def demand(self):
        """(processes that want the GPU, processes that run)"""
        words = struct.unpack_from("<4Q", self.region(), DEMAND_AT)
        return [sum(word.bit_count() for word in pair) for pair in (words[:2], words[2:])]

    def grant_until(self, end, words):
        """Gives the grants of `words()` until that time."""
        while time.monotonic() < end:
            self.grant(words())
            time.sleep(0.005)

    def share_while(self, seconds, until, kernel_us=500):
        """Of the GPU, by a tenant that runs already, while these grants are given."""
        first, at = self.launches(), time.monotonic()
        self.grant_until(at + seconds, until)
        return 100 * (self.launches() - first) * kernel_us * 1e-6 / (time.monotonic() - at)

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
        self.grant_until(time.monotonic() + 0.3, lambda: 0)
        time.sleep(0.3)
        self.assertGreater(self.launches(), launches + 350)
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

    # --- Nothing is held up for ever --------------------------------------------------------------
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
MADE = """assert cuda.cuCtxCreate_v2(byref(other), 0, 0) == cuda.cuCtxSetCurrent(current) == launch(short) == 0
"""
ALONE = """
import time
context()
TEXT = b'''.version 7.0
.target sm_70
.address_size 64
.visible .entry spin(.param .u64 ns) { ret; }
.visible .entry noop() { ret; }
'''
def kernel():
    module, long, short = c_void_p(), c_void_p(), c_void_p()
    assert cuda.cuModuleLoadData(byref(module), TEXT) == 0
    assert cuda.cuModuleGetFunction(byref(long), module, b"spin") == 0
    assert cuda.cuModuleGetFunction(byref(short), module, b"noop") == 0
    return long, short
long, short = kernel()
current = c_void_p()
cuda.cuCtxGetCurrent(byref(current))
mine = []
def launch(function, ns=0):
    value = c_uint64(ns)
    params = (c_void_p * 1)(ctypes.cast(byref(value), c_void_p))
    return cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, params if ns else None, None)
"""
LAUNCHES = ALONE + """
def work():
    mine.append(str(threading.get_native_id()))
    cuda.cuCtxSetCurrent(current)
    while True: launch(long, 20000000)
for _ in range(3): threading.Thread(target=work, daemon=True).start()
time.sleep(0.7)
"""

if __name__ == "__main__":
    unittest.main(verbosity=2)
