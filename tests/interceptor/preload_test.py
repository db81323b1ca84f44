#!/usr/bin/env python3
"""libtessera.so preloaded into a CUDA program, against the simulated driver. Usage: preload_test.py BUILD_FOLDER"""
import os
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = os.path.realpath(sys.argv.pop(1))
LIBRARY = f"{BUILD}/lib/libtessera.so"
MIB = 1 << 20
LIMIT = 64 * MIB
GPUS = ["GPU-aaaaaaaa-0000-0000-0000-00000000000" + str(i) for i in range(3)]
LIMITS = f"v1 fixed-share {GPUS[0]}:64:50"
ROUTES = ["direct", "dlsym", "proc1", "proc2", "proc2-perthread"]
OOM, NOT_PERMITTED = "2", "800"
REGION_SIZE, LANES_AT, LANE_SIZE, DEVICES = 400448, 6208, 128, 16


class Probe:
    """A running preload_probe; call it with a command to get its answer."""

    def __init__(self, test, route="direct", preload=LIBRARY, stderr=None, **env):
        self.preload = preload
        program = "preload_probe" if route == "direct" else "preload_probe_dlopen"
        full = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": f"{BUILD}/lib/sim", **test.env, **env}
        if preload:
            full["LD_PRELOAD"] = preload
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([f"{BUILD}/tests/interceptor/{program}", route], env=full, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors if stderr is None else stderr)
        test.addCleanup(self.close)
        self.greeting = self.process.stdout.readline().strip()

    def __call__(self, command):
        self.send(command)
        return self.receive()

    def send(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        assert line, f"the probe died: {self.process.wait()}, {self.stderr()}"
        # The driver may change errno; the library may not.
        return line.strip() if self.preload else line.strip().removesuffix(" ERRNO")

    def start(self, device=0):
        assert self("init") == "0" and self(f"ctx {device}") == "0", self.stderr()
        return self

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


class Preload(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.makedirs(self.path("region"))
        os.makedirs(self.path("state"))
        with open(self.path("gpus"), "w") as file:
            for uuid in GPUS:
                file.write(f"gpu uuid={uuid} memory_mib=1024\n")
        self.env = {"TESSERA_SIM_GPUS": self.path("gpus"), "TESSERA_SIM_STATE": self.path("state"),
                    "TESSERA_REGION_DIR": self.path("region"), "TESSERA_LIMITS": LIMITS}

    def path(self, name):
        return os.path.join(self.folder, name)

    def region(self):
        with open(self.path("region/region"), "rb") as file:
            return file.read()

    # --- Held to the limit, by every way in -----------------------------------------------------
    def test_every_way_in_is_held_to_the_byte(self):
        for route in ROUTES:
            with self.subTest(route):
                probe = Probe(self, route).start()
                self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")
                self.assertEqual(probe("total 0"), f"0 {LIMIT}")
                self.assertEqual(probe(f"fill {MIB}"), f"{OOM} {LIMIT}")
                self.assertEqual(probe("info"), f"0 0 {LIMIT}")
                self.assertEqual(probe("alloc 1"), OOM)
                self.assertEqual(probe("free"), "0")
                self.assertEqual(probe(f"alloc {MIB + 1}"), OOM)
                self.assertEqual(probe(f"alloc {MIB}"), "0", "a refusal must not stick")
                self.assertEqual(probe("freeall"), "0")
                self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")
                probe.close()

    def test_every_kind_of_allocation_is_charged_and_returned(self):
        for route in ROUTES:
            for kind in ["alloc", "managed", "async", "pool"]:
                for free in ["free", "freeasync"]:
                    with self.subTest(f"{route} {kind} {free}"):
                        if kind == "managed" and free == "freeasync":
                            continue  # the driver itself refuses that
                        probe = Probe(self, route).start()
                        self.assertEqual(probe(f"{kind} {LIMIT + 1}"), OOM)
                        self.assertEqual(probe(f"{kind} {LIMIT}"), "0")
                        self.assertEqual(probe(f"{kind} 1"), OOM)
                        self.assertEqual(probe(free), "0")
                        self.assertEqual(probe(f"{kind} {LIMIT}"), "0")
                        probe.close()

    def test_pitched_memory_is_charged_with_its_true_size(self):
        probe = Probe(self).start()
        result, size = probe("pitch 3000 1000").split()
        self.assertEqual(result, "0")
        blocks = -(-int(size) // (2 * MIB)) * 2 * MIB
        self.assertGreater(int(size), 3000 * 1000)
        self.assertEqual(probe("info"), f"0 {LIMIT - blocks} {LIMIT}")
        self.assertEqual(probe(f"pitch 65536 1024").split()[0], OOM)
        self.assertEqual(probe("free"), "0")
        self.assertEqual(probe("pitch 65536 1024").split()[0], "0")
        self.assertEqual(probe("pitch 18446744073709551615 4").split()[0], OOM)

    def test_a_double_free_returns_nothing_twice(self):
        probe = Probe(self).start()
        probe(f"alloc {10 * MIB}")
        probe(f"alloc {10 * MIB}")
        bare = Probe(self, preload=None).start()
        bare("alloc 100")
        self.assertEqual(probe("freetwice"), bare("freetwice"))
        self.assertEqual(probe("info"), f"0 {LIMIT - 10 * MIB} {LIMIT}")

    def test_stream_allocations_are_charged(self):
        probe = Probe(self).start()
        self.assertEqual(probe("stream"), "0")
        self.assertEqual(probe(f"streamalloc {LIMIT}"), "0")
        self.assertEqual(probe("streamalloc 1"), OOM)

    def test_physical_memory_is_charged_while_a_handle_or_a_mapping_lives(self):
        for route in ROUTES:
            with self.subTest(route):
                probe = Probe(self, route).start()
                half = LIMIT // 2
                self.assertEqual(probe(f"create {LIMIT + 2 * MIB}"), OOM)
                self.assertEqual(probe(f"create {half}"), "0")
                self.assertEqual(probe(f"create {half}"), "0")
                self.assertEqual(probe(f"create {2 * MIB}"), OOM)
                self.assertEqual(probe("alloc 1"), OOM, "one account for every kind")
                self.assertEqual(probe(f"map {half} 0"), "0")
                self.assertEqual(probe("release"), "0")
                self.assertEqual(probe("info"), f"0 0 {LIMIT}", "mapped: still in use")
                self.assertEqual(probe("retain"), "0")
                self.assertEqual(probe(f"unmap {half} 0"), "0")
                self.assertEqual(probe("info"), f"0 0 {LIMIT}", "retained: still in use")
                self.assertEqual(probe("release"), "0")
                self.assertEqual(probe("info"), f"0 {half} {LIMIT}")
                self.assertEqual(probe("release"), "0", "the first one, never mapped")
                self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")
                probe.close()

    def test_one_unmap_may_end_several_mappings(self):
        probe = Probe(self).start()
        for i in range(4):
            self.assertEqual(probe(f"create {2 * MIB}"), "0")
            self.assertEqual(probe(f"map {2 * MIB} {2 * i * MIB}"), "0")
            self.assertEqual(probe("release"), "0")
        self.assertEqual(probe("info"), f"0 {LIMIT - 8 * MIB} {LIMIT}")
        self.assertNotEqual(probe(f"unmap {MIB} 0"), "0", "half a mapping")
        self.assertEqual(probe("info"), f"0 {LIMIT - 8 * MIB} {LIMIT}")
        self.assertEqual(probe(f"unmap {8 * MIB} 0"), "0")
        self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")

    def test_arrays_are_charged_and_returned(self):
        probe = Probe(self).start()
        for make, free, size in [("array 1024 1024", "freearray", 4 * MIB), ("array 4096", "freearray", 8 * 16 << 10),
                                 ("array 256 256 16", "freearray", 4 * MIB),
                                 ("mipmapped 1024 1024", "freemipmapped", 6 * MIB)]:
            with self.subTest(make):
                self.assertEqual(probe(make), "0")
                self.assertEqual(probe("info"), f"0 {LIMIT - size} {LIMIT}")
                self.assertEqual(probe(free), "0")
                self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")
        for make in ["array 8192 8192", "array 1024 1024 32", "mipmapped 8192 8192"]:
            self.assertEqual(probe(make), OOM)
        self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")

    # --- Several at once ------------------------------------------------------------------------
    def test_racing_threads_get_the_limit_exactly(self):
        self.assertEqual(Probe(self).start()(f"threads 8 {64 << 10}"), f"0 {LIMIT}")

    def test_racing_processes_get_the_limit_exactly(self):
        probes = [Probe(self, route).start() for route in ROUTES]
        for probe in probes:
            probe.send(f"fill {64 << 10}")
        self.assertEqual(sum(int(probe.receive().split()[1]) for probe in probes), LIMIT)

    def test_a_killed_process_gives_back_at_once(self):
        survivor, victim = Probe(self).start(), Probe(self).start()
        self.assertEqual(victim(f"fill {MIB}"), f"{OOM} {LIMIT}")
        self.assertEqual(survivor("alloc 1"), OOM)
        victim.kill()
        self.assertEqual(survivor(f"alloc {LIMIT}"), "0")

    def test_a_restarted_container_starts_with_its_whole_share(self):
        first = Probe(self).start()
        first(f"fill {MIB}")
        first.kill()
        self.assertEqual(Probe(self).start()("info"), f"0 {LIMIT} {LIMIT}")

    def test_a_child_forked_before_cuda_shares_the_limit(self):
        probe = Probe(self)
        answers = probe(f"fork init;ctx 0;alloc {LIMIT};alloc 1")
        self.assertEqual(answers, f"0;0;0;{OOM};")
        probe.start()
        self.assertEqual(probe(f"alloc {LIMIT}"), "0", "the child has ended")

    def test_a_child_forked_after_cuda_does_not_touch_the_parents_account(self):
        bare = Probe(self, preload=None).start()
        bare("alloc 100")
        probe = Probe(self).start()
        probe(f"alloc {LIMIT // 2}")
        for command in ["fork alloc 100", "fork free", "fork info"]:
            with self.subTest(command):
                self.assertEqual(probe(command).split()[0], bare(command).split()[0])
        self.assertEqual(probe("info"), f"0 {LIMIT // 2} {LIMIT}")
        self.assertEqual(probe("free"), "0")
        self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")

    # --- Which GPU ------------------------------------------------------------------------------
    def test_limits_follow_the_uuid_whatever_is_visible(self):
        limits = f"v1 fixed-share {GPUS[1]}:32:50 {GPUS[2]}:16:50"
        for visible, want in [("1", 32), ("2", 16), (GPUS[2], 16), ("2,1", 16), (f"{GPUS[1]},{GPUS[2]}", 32)]:
            with self.subTest(visible):
                probe = Probe(self, CUDA_VISIBLE_DEVICES=visible, TESSERA_LIMITS=limits).start()
                self.assertEqual(probe("info"), f"0 {want * MIB} {want * MIB}")
                self.assertEqual(probe(f"fill {MIB}"), f"{OOM} {want * MIB}")
                probe.close()

    def test_each_gpu_has_its_own_limit_and_an_unnamed_one_has_none(self):
        limits = f"v1 fixed-share {GPUS[0]}:8:50 {GPUS[1]}:4:50"
        probe = Probe(self, TESSERA_LIMITS=limits).start()
        for device, want in [(0, 8), (1, 4), (2, 0)]:
            self.assertEqual(probe(f"ctx {device}"), "0")
            self.assertEqual(probe(f"total {device}"), f"0 {want * MIB}")
            self.assertEqual(probe(f"fill {MIB}"), f"{OOM} {want * MIB}")
        self.assertEqual(probe("freeall"), "0")
        self.assertEqual(probe("ctx 1"), "0")
        self.assertEqual(probe("info"), f"0 {4 * MIB} {4 * MIB}")

    def test_memory_from_another_gpus_pool_is_charged_where_it_is(self):
        limits = f"v1 fixed-share {GPUS[0]}:96:50 {GPUS[1]}:64:50"
        for route in ROUTES:
            with self.subTest(route):
                probe = Probe(self, route, TESSERA_LIMITS=limits).start()
                for context in [1, 2, 0]:
                    self.assertEqual(probe(f"ctx {context}"), "0")
                for device, want in [(1, 64), (2, 0)]:
                    self.assertEqual(probe(f"fillpool {device} {MIB}"), f"{OOM} {want * MIB}")
                self.assertEqual(probe("info"), f"0 {96 * MIB} {96 * MIB}")
                self.assertEqual(probe("ctx 1"), "0")
                self.assertEqual(probe("info"), f"0 0 {64 * MIB}")
                self.assertEqual(probe("freeall"), "0")
                self.assertEqual(probe("fill 1048576"), f"{OOM} {64 * MIB}", "the pool's unused memory is no obstacle")
                probe.close()

    def test_a_limit_above_the_card_tells_and_gives_the_card(self):
        probe = Probe(self, TESSERA_LIMITS=f"v1 fixed-share {GPUS[0]}:999999:50").start()
        bare = Probe(self, preload=None, TESSERA_SIM_STATE=self.path("state")).start()
        self.assertEqual(probe("info"), bare("info"))
        self.assertEqual(probe("total 0"), bare("total 0"))

    # --- Limits that change while the process runs ----------------------------------------------
    def write_limits(self, mib, cores=50, text=None):
        """As the kubelet does: a new folder, then a link that changes over to it."""
        folder = tempfile.mkdtemp(dir=self.path("."), prefix="..")
        with open(f"{folder}/limits", "w") as file:
            file.write(f"v1 fixed-share {GPUS[0]}:{mib}:{cores}" if text is None else text)
        os.symlink(os.path.basename(folder), self.path("..data_tmp"))
        os.rename(self.path("..data_tmp"), self.path("..data"))
        if not os.path.islink(self.path("limits")):
            os.symlink("..data/limits", self.path("limits"))

    def resizable(self, **env):
        self.write_limits(64)
        return Probe(self, TESSERA_LIMITS_FILE=self.path("limits"), **env).start()

    def until(self, probe, command, answer):
        """A process that is not refused looks at its limits once in a second."""
        deadline = time.monotonic() + 5
        while (got := probe(command)) != answer:
            self.assertLess(time.monotonic(), deadline, f"{command}: {got}, not {answer}")
            time.sleep(0.05)

    def region_limits(self):
        return struct.unpack_from("<QI", self.region(), 64 + 48)

    def test_a_larger_limit_holds_at_once_where_the_old_one_would_refuse(self):
        probe = self.resizable()
        self.assertEqual(probe(f"fill {MIB}"), f"{OOM} {LIMIT}")
        self.write_limits(96, 70)
        self.assertEqual(probe(f"alloc {32 * MIB}"), "0")
        self.assertEqual(probe("alloc 1"), OOM)
        self.assertEqual(self.region_limits(), (96 * MIB, 70))
        (denied,) = struct.unpack_from("<Q", self.region(), LANES_AT + 72)
        # 64 of the fill's megabytes fit, the next did not; nor did the last byte.
        self.assertEqual(denied, 2, "an allocation that the new limit allows is no refusal")

    def test_a_larger_limit_is_told(self):
        probe = self.resizable()
        self.write_limits(128)
        self.until(probe, "info", f"0 {128 * MIB} {128 * MIB}")
        self.assertEqual(probe("total 0"), f"0 {128 * MIB}")

    def test_a_limit_below_what_is_in_use_refuses_until_use_falls(self):
        probe = self.resizable()
        for _ in range(3):
            self.assertEqual(probe(f"alloc {16 * MIB}"), "0")
        self.write_limits(32)
        self.until(probe, "info", f"0 0 {32 * MIB}")
        self.assertEqual(probe("alloc 1"), OOM)
        self.assertEqual(probe("free"), "0")
        self.assertEqual(probe("alloc 1"), OOM, "32 of 32 in use")
        self.assertEqual(probe("free"), "0")
        self.assertEqual(probe(f"alloc {16 * MIB}"), "0")
        self.assertEqual(probe("alloc 1"), OOM)

    def test_a_smaller_limit_is_noticed_by_a_process_that_only_allocates(self):
        probe = self.resizable()
        self.write_limits(1)
        self.until(probe, f"alloc {256 << 10}", OOM)

    def test_all_processes_of_a_container_follow(self):
        probes = [self.resizable(), Probe(self, TESSERA_LIMITS_FILE=self.path("limits")).start()]
        self.write_limits(16)
        for probe in probes:
            self.until(probe, "info", f"0 {16 * MIB} {16 * MIB}")

    def test_a_bad_or_vanished_file_keeps_the_last_good_limits(self):
        others = f"v1 fixed-share {GPUS[1]}:1:50"
        for text in ["", "nonsense", f"v1 fixed-share {GPUS[0]}:lots:50", others,
                     f"v1 fixed-share {GPUS[0]}:1:50 {GPUS[1]}:1:50", None]:
            with self.subTest(text):
                probe = self.resizable(TESSERA_LOG="debug")
                if text is None:
                    os.remove(self.path("limits"))
                else:
                    self.write_limits(0, text=text)
                self.assertEqual(probe(f"alloc {LIMIT + 1}"), OOM, "a refusal looks at the file")
                self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}")
                self.assertEqual(self.region_limits(), (LIMIT, 50))
                self.assertEqual("limits stay as they were" in probe.stderr(), text is not None)
                self.write_limits(80)
                self.assertEqual(probe(f"alloc {80 * MIB}"), "0", "the next good one counts")
                probe.close()

    def test_the_environment_is_read_once(self):
        probe = Probe(self).start()
        self.write_limits(1)
        self.assertEqual(probe(f"alloc {LIMIT}"), "0")

    # --- No limits, no CUDA ---------------------------------------------------------------------
    def test_without_valid_limits_everything_is_refused_with_one_line(self):
        with open(self.path("empty"), "w"):
            pass
        cases = {
            "empty": ({"TESSERA_LIMITS": ""}, "empty"),
            "malformed": ({"TESSERA_LIMITS": "v1 fixed-share GPU-a:lots:50"}, "memory"),
            "another version": ({"TESSERA_LIMITS": "v9"}, "version"),
            "empty file": ({"TESSERA_LIMITS_FILE": self.path("empty")}, "empty"),
            "no such file": ({"TESSERA_LIMITS_FILE": self.path("absent")}, "opened"),
            "no region folder": ({"TESSERA_REGION_DIR": ""}, "region"),
            "no such region folder": ({"TESSERA_REGION_DIR": self.path("absent")}, "region"),
        }
        for name, (env, word) in cases.items():
            for route in ROUTES:
                with self.subTest(f"{name}, {route}"):
                    probe = Probe(self, route, **env)
                    for command in ["init", "alloc 1", "managed 1", "async 1", "pitch 1 1", "array 1", "mipmapped 1 1",
                                    "create 2097152"]:
                        self.assertEqual(probe(command).split()[0], NOT_PERMITTED, command)
                    lines = probe.stderr().splitlines()
                    self.assertEqual(len(lines), 1, lines)
                    self.assertIn("CUDA calls are refused", lines[0])
                    self.assertIn(word, lines[0])
                    probe.close()

    def test_a_scribbled_region_refuses_and_does_not_crash(self):
        for name, offset, size in [("all of it", 0, REGION_SIZE), ("the accounts", 64, 3072),
                                   ("the lanes", LANES_AT, REGION_SIZE - LANES_AT)]:
            with self.subTest(name):
                probe = Probe(self).start()
                self.assertEqual(probe(f"alloc {MIB}"), "0")
                with open(self.path("region/region"), "r+b") as file:
                    file.seek(offset)
                    file.write(b"\xa5" * size)
                self.assertEqual(probe(f"alloc {MIB}"), OOM)
                self.assertEqual(probe("info").split()[:2], ["0", "0"])
                self.assertEqual(probe("free"), "0")
                late = Probe(self)
                if offset == 0:
                    self.assertEqual(late("init"), NOT_PERMITTED)
                    self.assertIn("damaged", late.stderr())
                late.close()
                probe.close()
                os.remove(self.path("region/region"))

    # --- A good guest ---------------------------------------------------------------------------
    def test_null_arguments_behave_as_the_driver_does(self):
        for route in ROUTES:
            with self.subTest(route):
                bare, probe = Probe(self, route, preload=None), Probe(self, route)
                self.assertEqual(probe("nulls"), bare("nulls"), "before cuInit")
                bare.start(), probe.start()
                self.assertEqual(probe("nulls"), bare("nulls"), "with a context")
                self.assertEqual(probe("info"), f"0 {LIMIT} {LIMIT}", "none of it may be charged")

    def test_errors_before_cuda_is_ready_are_the_drivers(self):
        for command in ["alloc 1", "async 1", "managed 1", "pitch 1 1", "info", "total 0"]:
            with self.subTest(command):
                bare, probe = Probe(self, preload=None), Probe(self)
                self.assertEqual(probe(command).split()[0], bare(command).split()[0], "before cuInit")
                bare("init"), probe("init")
                self.assertEqual(probe(command).split()[0], bare(command).split()[0], "without a context")

    def test_programs_without_cuda_notice_nothing(self):
        for command in [["true"], ["sh", "-c", "echo a | cat"], [sys.executable, "-c", "import ctypes, ssl"]]:
            result = subprocess.run(command, env={**os.environ, **self.env, "LD_PRELOAD": LIBRARY},
                                    capture_output=True, text=True)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(os.listdir(self.path("region")), [])

    def test_without_a_driver_nothing_crashes(self):
        probe = Probe(self, "dlsym", LD_LIBRARY_PATH="")
        self.assertEqual(probe.greeting, "no driver by dlsym")
        code = "import ctypes; c = ctypes.CDLL(None); print(c.cuInit(0), c.nvmlDeviceGetMemoryInfo(None, None))"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                env={"PATH": os.environ["PATH"], "LD_PRELOAD": LIBRARY, **self.env})
        self.assertEqual(result.stdout, "500 13\n", result.stderr)

    def test_what_a_library_lacks_stays_lacking(self):
        code = ("import ctypes; libm = ctypes.CDLL('libm.so.6')\n"
                "print(hasattr(libm, 'cuMemAlloc_v2'), hasattr(libm, 'cos'))")
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                env={"PATH": os.environ["PATH"], "LD_PRELOAD": LIBRARY, **self.env})
        self.assertEqual(result.stdout, "False True\n", result.stderr)

    def test_another_preloaded_tool_stays_in_the_chain(self):
        second = f"{BUILD}/tests/interceptor/libsecond_tool.so"
        for preload in [f"{second}:{LIBRARY}", f"{LIBRARY}:{second}"]:
            with self.subTest(preload):
                probe = Probe(self, preload=preload).start()
                self.assertEqual(probe(f"fill {MIB}"), f"{OOM} {LIMIT}")
                self.assertGreaterEqual(int(probe("calls second_tool_calls")), 64)
                self.assertEqual(probe("next malloc"), "found")
                self.assertEqual(probe("next main"), "none")
                probe.close()

    def test_what_the_library_did_not_find_is_not_the_programs_dlerror(self):
        for route in ROUTES:
            probe = Probe(self, route)
            probe("dlerror")
            for command in ["init", "ctx 0", f"alloc {MIB}", "nvml 0"]:
                probe(command)
                self.assertEqual(probe("dlerror"), "none", f"{route}, {command}")

    def test_dlvsym_is_no_way_around(self):
        probe = Probe(self).start()
        for version in ["GLIBC_2.2.5", "libcuda.so.1", "Base"]:
            self.assertEqual(probe(f"dlvsym cuMemAlloc_v2 {version}"), "none", "the driver has no symbol versions")

    def test_a_line_that_nobody_reads_does_not_end_the_program(self):
        ours, theirs = os.pipe()
        os.close(ours)
        for env in [{"TESSERA_LIMITS": ""}, {"TESSERA_LOG": "debug"}]:
            probe = Probe(self, stderr=theirs, **env)
            probe("init"), probe("ctx 0")
            self.assertIn(probe(f"alloc {LIMIT + 1}"), [NOT_PERMITTED, OOM])
        os.close(theirs)

    def test_debug_log_says_what_was_refused_and_why(self):
        probe = Probe(self, TESSERA_LOG="debug").start()
        probe(f"alloc {10 * MIB}")
        probe(f"alloc {LIMIT}")
        self.assertEqual(probe.stderr(), f"tessera: refused {LIMIT} bytes on {GPUS[0]}: {10 * MIB} of {LIMIT} in use\n")

    def test_nothing_is_said_without_it(self):
        probe = Probe(self).start()
        probe(f"alloc {LIMIT + 1}")
        self.assertEqual(probe.stderr(), "")

    # --- What others see ------------------------------------------------------------------------
    def test_nvml_tells_the_share(self):
        other = Probe(self).start()
        other(f"alloc {16 * MIB}")
        used, free = 16 * MIB, LIMIT - 16 * MIB
        for route in ["direct", "dlsym"]:
            answer = Probe(self, route)("nvml 0")
            self.assertEqual(answer, f"0 {LIMIT} {used} {free} 0 {LIMIT} {used} {free} null refused")
        self.assertEqual(Probe(self)("nvml 1"), "0 0 0 0 0 0 0 0 null refused", "a GPU without a limit")
        self.assertEqual(Probe(self, TESSERA_LIMITS="")("nvml 0").split()[0], "4", "NVML_ERROR_NO_PERMISSION")

    def test_launches_and_refusals_are_counted(self):
        probe = Probe(self).start()
        self.assertEqual(probe("launch 5"), "0")
        probe(f"alloc {LIMIT + 1}")
        _, denied, launches = struct.unpack_from("<QQQ", self.region(), LANES_AT + 64)
        self.assertEqual((launches, denied), (5, 1))


if __name__ == "__main__":
    unittest.main()
