#!/usr/bin/env python3
"""libtessera.so in programs with habits of their own: it disturbs none of them. Usage: guest_test.py BUILD_FOLDER"""
import os
import shutil
import struct
import subprocess
import sys
import unittest

from container import BUILD, GPUS, LIBRARY, MIB, PROGRAMS, Container

LANES_AT, LANE_SIZE, DEVICES, SLOTS = 6208, 128, 16, 128

LAUNCH = """
context()
module, kernel = c_void_p(), c_void_p()
text = b".version 6.0\\n.target sm_52\\n.address_size 64\\n.visible .entry nothing()\\n{{\\n  ret;\\n}}\\n"
assert cuda.cuModuleLoadData(byref(module), text) == 0
assert cuda.cuModuleGetFunction(byref(kernel), module, b"nothing") == 0
for _ in range({times}):
    assert cuda.cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, None, None, None) == 0
"""


class Guests(Container):
    def play(self, *scene, program="guest", want="ok", **env):
        self.assertEqual(self.run_in([f"{PROGRAMS}/{program}", *map(str, scene)], **env), want)

    def launches(self, device=0, slots=range(SLOTS)):
        """(by threads without a word of their own, all)"""
        region, shared, own = self.region(), 0, 0
        for slot in slots:
            at = LANES_AT + (slot * DEVICES + device) * LANE_SIZE
            shared += struct.unpack_from("<Q", region, at + 64)[0]
            own += sum(struct.unpack_from("<4Q", region, at + 80))
        return shared, shared + own

    # --- Launches are counted exactly -------------------------------------------------------------
    def test_launches_of_racing_threads_are_all_counted(self):
        two_gpus = {"limits": f"v1 fixed-share {GPUS[0]}:64:50 {GPUS[1]}:64:50"}
        for threads, env in [(1, {}), (3, {}), (12, {}), (12, two_gpus)]:
            with self.subTest(f"{threads}, {env}"):
                self.play("launches", threads, 1000, **env)
                shared, all_of_them = self.launches()
                self.assertEqual(all_of_them, threads * 1000)
                self.assertEqual(shared > 0, threads > 4, "as many as have a word of their own need no other")
                os.remove(self.path("region/region"))

    def test_a_thread_that_ends_leaves_its_word_to_the_next(self):
        self.play("churn", 30, 10)
        self.assertEqual(self.launches(), (0, 300))

    def test_a_forked_child_does_not_count_for_its_parent(self):
        self.play("launch_in_child", 7)
        self.assertEqual(self.launches(slots=range(1))[1], 7)
        self.assertEqual(self.launches()[1], 107, "what it tried is counted, in a lane of its own")

    def test_launches_of_a_killed_process_are_counted(self):
        process = self.start([f"{PROGRAMS}/guest", "launch_then_die", "13"])
        process.communicate()
        self.assertEqual(process.returncode, -9)
        self.assertEqual(self.launches()[1], 13)

    def test_launches_are_counted_beside_another_tool(self):
        for preload in [f"{PROGRAMS}/libsecond_tool.so:{LIBRARY}", f"{LIBRARY}:{PROGRAMS}/libsecond_tool.so"]:
            with self.subTest(preload):
                self.play("launches", 1, 100, preload=preload)
                self.assertEqual(self.launches()[1], 100)
                # The driver is not in the search order here: what the tool finds in it is us.
                self.run_in(LAUNCH.format(times=50), preload=preload)
                self.assertEqual(self.launches()[1], 150)
                os.remove(self.path("region/region"))

    def test_launches_are_counted_on_the_gpu_where_they_run(self):
        limits = f"v1 fixed-share {GPUS[0]}:64:50 {GPUS[1]}:64:50"
        self.run_in(LAUNCH.format(times=5).replace("context()", "context(1)"), limits=limits)
        self.assertEqual([self.launches(device)[1] for device in (0, 1)], [0, 5])
        self.run_in(LAUNCH.format(times=7), limits=limits, CUDA_VISIBLE_DEVICES="1")
        self.assertEqual([self.launches(device)[1] for device in (0, 1)], [0, 12])

    # --- What is the program's own ----------------------------------------------------------------
    def test_errno_is_the_programs(self):
        self.play("errno", TESSERA_SIM_NOOP="1")

    def test_signal_handlers_masks_and_umask_are_the_programs(self):
        self.play("signals_and_umask")

    def test_standard_streams_stay_free_and_children_inherit_nothing(self):
        process = self.start([f"{PROGRAMS}/guest", "descriptors"])
        process.communicate()
        self.assertEqual(process.returncode, 0)

    def test_sizes_beyond_32_bits_and_beyond_64(self):
        self.memory_mib = 65536
        super().setUp()
        self.play("wide", 6, limits=f"v1 fixed-share {GPUS[0]}:6144:50")
        (refused,) = struct.unpack_from("<Q", self.region(), LANES_AT + 72)
        self.assertEqual(refused, 7, "by us: none of it may have reached the driver")

    def test_look_ups_of_others_are_the_same_each_time_and_start_nothing(self):
        self.play("look_ups", limits="", TESSERA_REGION_DIR="/nowhere")

    def test_the_driver_may_be_closed_and_opened(self):
        self.play("close_the_driver")

    def test_two_contexts_of_a_gpu_share_its_limit(self):
        self.play("two_contexts")

    def test_names_for_the_per_thread_stream_are_held_too(self):
        self.play("per_thread_names")
        self.assertEqual(self.launches()[1], 5)

    # --- Children ---------------------------------------------------------------------------------
    def test_children_forked_among_allocating_threads_never_hang(self):
        self.play("fork_among_threads", 150)

    def test_a_vforked_child_becomes_another_program(self):
        self.play("vfork_and_exec")

    def test_a_program_that_becomes_another_starts_with_its_whole_share(self):
        self.play("exec_after_alloc")

    # --- Watched programs -------------------------------------------------------------------------
    def test_under_the_address_sanitizer(self):
        for scene in [["all"], ["launches", 4, 100], ["two_contexts"]]:
            self.play(*scene, program="guest_address", ASAN_OPTIONS="detect_leaks=0:exitcode=99")

    def test_under_the_thread_sanitizer(self):
        # Of the simulated driver, which is not built for it, it knows only what its locks tell.
        ignored = self.path("suppressions")
        with open(ignored, "w") as file:
            file.write("called_from_lib:libcuda.so.1\n")
        for scene in [["all"], ["launches", 6, 100]]:
            self.play(*scene, program="guest_thread", TSAN_OPTIONS=f"suppressions={ignored}:exitcode=99")

    @unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
    def test_under_valgrind(self):
        command = ["valgrind", "--quiet", "--error-exitcode=99", "--trace-children=no"]
        for scene in [["all"], ["churn", "3", "5"]]:
            self.assertEqual(self.run_in([*command, f"{PROGRAMS}/guest", *scene], timeout=240), "ok")

    # --- Where it ends ----------------------------------------------------------------------------
    def test_a_library_that_is_bound_deeply_goes_past_us(self):
        """A known gap: such a library finds the driver before it finds us. MIG and MPS are for those."""
        answers = []
        for mode in ["0", "8"]:  # RTLD_DEEPBIND
            answers.append(self.run_in(f"""
context()
library = ctypes.CDLL("{PROGRAMS}/libescape.so", mode={mode} | os.RTLD_NOW)
ptr = c_uint64()
tell(library.allocate_here(byref(ptr), c_size_t(65 * MIB)), info()[1] // MIB)"""))
        self.assertEqual(answers, ["[2, 64]", "[0, 64]"])

    def test_what_it_takes_of_a_process(self):
        """Its code and data, and what it maps; no heap. bench_interceptor tells the kernel's own figures."""
        sizes = self.run_in("""
context(); alloc(MIB)
sizes = {}
for line in open("/proc/self/maps"):
    words = line.split()
    if len(words) > 5:
        low, high = (int(word, 16) for word in words[0].split("-"))
        name = os.path.basename(words[5])
        sizes[name] = sizes.get(name, 0) + high - low
tell(sizes["libtessera.so"] // 1024, sizes["region"] // 1024)""")
        library, region = eval(sizes)
        self.assertLess(library, 256)
        self.assertEqual(region, 392)


if __name__ == "__main__":
    unittest.main()
