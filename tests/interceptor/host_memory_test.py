#!/usr/bin/env python3
"""What goes beyond a container's share, where its limits allow host memory for it. Usage: host_memory_test.py
BUILD_FOLDER"""
import os
import re
import struct

import in_child
from in_child import DEVICES, GPUS, LANE_SIZE, LANES_AT, SLOTS

SHARE, HOST = 256, 128
NOT_INITIALIZED = 3
HEAD_AT, HOST_AT = 128, 268352  # region/README.md

HELPERS = f"""
SHARE, HOST = {SHARE} * MIB, {HOST} * MIB
def is_managed(ptr):
    value = ctypes.c_uint()
    check("cuPointerGetAttribute", byref(value), 8, ptr)
    return value.value == 1
def write_and_read(ptr, size):
    check("cuMemsetD8_v2", ptr, 0x5a, size)
    check("cuMemsetD8_v2", ptr + size - 1, 0x17, 1)
    out = ctypes.create_string_buffer(size)
    check("cuMemcpyDtoH_v2", out, ptr, size)
    return out.raw == b"\\x5a" * (size - 1) + b"\\x17"
"""

QUERIES = """
nvml = ctypes.CDLL("libnvidia-ml.so.1")
class Memory(ctypes.Structure): _fields_ = [(n, c_ulonglong) for n in ("total", "free", "used")]
class Memory2(ctypes.Structure):
    _fields_ = [("version", c_uint)] + [(n, c_ulonglong) for n in ("total", "reserved", "free", "used")]
def everywhere(cuda_too=True):
    handle, one, two = c_void_p(), Memory(), Memory2()
    two.version = ctypes.sizeof(Memory2) | 2 << 24
    assert nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetHandleByIndex_v2(0, byref(handle)) == 0
    assert nvml.nvmlDeviceGetMemoryInfo(handle, byref(one)) == 0
    assert nvml.nvmlDeviceGetMemoryInfo_v2(handle, byref(two)) == 0
    assert one.used == two.used and two.reserved == 0
    free, total = [one.free, two.free], [one.total, two.total]
    if cuda_too:
        wide, narrow, low = c_size_t(), c_uint(), (c_uint(), c_uint())
        check("cuDeviceTotalMem_v2", byref(wide), 0); check("cuDeviceTotalMem", byref(narrow), 0)
        check("cuMemGetInfo", byref(low[0]), byref(low[1]))
        free += [info()[0], low[0].value]
        total += [info()[1], wide.value, narrow.value, low[1].value]
    assert len(set(free)) == 1 and len(set(total)) == 1, (free, total)
    return free[0] // MIB, total[0] // MIB, one.used // MIB
"""


class Oversubscribed(in_child.Container):
    limit_mib = SHARE

    def setUp(self):
        super().setUp()
        self.journal = f"{self.folder}/journal"
        self.env |= {"TESSERA_SIM_JOURNAL": self.journal, "TESSERA_LIMITS": self.limits(HOST)}

    def limits(self, host, share=SHARE):
        return f"v1 fixed-share {GPUS[0]}:{share}:50" + (f":{host}" if host else "")

    def run_body(self, body, **more):
        return super().run_body(HELPERS + body, **more)

    def calls(self, name):
        with open(self.journal) as file:
            return [line.split(" ", 2)[2].strip() for line in file if line.split(" ")[1] == name]

    def denied(self):
        """Refusals that the container has counted on its first GPU."""
        with open(f"{self.folder}/region/region", "rb") as file:
            region = file.read()
        return sum(struct.unpack_from("<Q", region, LANES_AT + slot * DEVICES * LANE_SIZE + 72)[0] for slot in range(SLOTS))


class HostMemory(Oversubscribed):
    # --- What is given --------------------------------------------------------------------------
    def test_it_can_be_freed_in_the_order_of_a_stream_as_the_device_s_can(self):
        """By the driver only what is the device's can."""
        self.run_body("""
start()
stream = get("cuStreamCreate", 0)
for free in ["cuMemFreeAsync", "cuMemFreeAsync_ptsz"]:
    for order in [c_void_p(0), c_void_p(stream)]:
        held, beyond = alloc(SHARE), alloc(HOST)
        assert is_managed(beyond) and free_bytes() == 0
        check(free, beyond, order)
        assert free_bytes() == HOST, "exact, and only once"
        assert call(free, beyond, order) == INVALID_VALUE
        own = alloc(MIB, "cuMemAllocManaged", 1)
        check("cuMemFree_v2", own)
        check(free, held, order)
        check("cuCtxSynchronize")
        assert free_bytes() == SHARE + HOST
assert call("cuMemFreeAsync", 4711, 0) == INVALID_VALUE
""")

    def test_beyond_the_share_is_managed_memory_that_prefers_the_device(self):
        self.run_body("""
start()
plain, more = alloc(200 * MIB), alloc(100 * MIB)
assert not is_managed(plain) and is_managed(more)
assert write_and_read(more, 100 * MIB) and write_and_read(plain, 200 * MIB)
fits = alloc(56 * MIB)
assert not is_managed(fits), "the share has room for it"
""")
        self.assertEqual(self.calls("cuMemAllocManaged"), [f"bytes={100 << 20} flags=1 result=0"])
        self.assertEqual(self.calls("cuMemAdvise"), [f"bytes={100 << 20} advice={advice} result=0" for advice in (3, 5)])
        self.assertEqual(self.denied(), 0)

    def test_share_and_cap_hold_to_the_block_and_only_the_last_refusal_is_counted(self):
        self.run_body("""
start()
held = fill(2 * MIB)
assert len(held) == (SHARE + HOST) // (2 * MIB), len(held)
assert free_bytes() == 0
assert [is_managed(ptr) for ptr in held] == [False] * 128 + [True] * 64
assert attempt("cuMemAlloc_v2", 1)[0] == OOM
""")
        self.assertEqual(self.denied(), 2)

    def test_one_allocation_may_not_exceed_the_cap(self):
        self.run_body("""
start()
assert attempt("cuMemAlloc_v2", SHARE + 1)[0] == OOM, "larger than share and cap, though not than both"
assert attempt("cuMemAlloc_v2", HOST + 2 * MIB)[0] == OK, "fits the share"
assert attempt("cuMemAlloc_v2", HOST + 1)[0] == OOM
assert attempt("cuMemAlloc_v2", HOST)[0] == OK
""")

    def test_freed_once_and_to_where_it_came_from(self):
        self.run_body("""
start()
plain, more = alloc(SHARE), alloc(HOST)
assert free_bytes() == 0
check("cuMemFree_v2", more)
assert free_bytes() == HOST
assert call("cuMemFree_v2", more) == INVALID_VALUE and free_bytes() == HOST, "twice"
more = alloc(HOST)
check("cuMemFree_v2", plain)
assert free_bytes() == SHARE, "what is in the host's memory stays there"
assert not is_managed(alloc(SHARE))
check("cuMemFree_v2", more)
assert free_bytes() == HOST
""")

    def test_pitched_memory_too(self):
        self.run_body("""
start()
alloc(SHARE)
pitch = ctypes.c_size_t()
def pitched(width, height, element):
    return attempt("cuMemAllocPitch_v2", byref(pitch), width, height, element)
result, ptr = pitched(1000, 4096, 4)
assert result == OK and is_managed(ptr) and pitch.value == 1024 and free_bytes() == HOST - 4 * MIB
check("cuMemsetD2D8_v2", ptr, pitch.value, 7, 1000, 4096)
for element in [0, 3, 32]:
    assert pitched(1000, 4096, element)[0] == INVALID_VALUE
assert pitched(1 << 62, 1 << 62, 4)[0] == OOM and pitched(HOST, 2, 4)[0] == OOM
assert free_bytes() == HOST - 4 * MIB
check("cuMemFree_v2", ptr)
assert free_bytes() == HOST
""")

    def test_the_programs_own_managed_memory_is_charged_and_not_advised(self):
        self.run_body("""
start()
alloc(SHARE - 2 * MIB)
own = alloc(32 * MIB, "cuMemAllocManaged", 2)
assert free_bytes() == HOST - 30 * MIB
assert attempt("cuMemAllocManaged", 1, 7)[0] == INVALID_VALUE
assert attempt("cuMemAllocManaged", HOST, 1)[0] == OOM
check("cuMemFree_v2", own)
assert free_bytes() == HOST + 2 * MIB
""")
        self.assertEqual(self.calls("cuMemAdvise"), [])
        self.assertEqual(self.calls("cuMemAllocManaged")[0], f"bytes={32 << 20} flags=2 result=0")

    def test_other_kinds_of_memory_stay_within_the_share(self):
        self.run_body("""
start()
pool = make_pool()
held = alloc(SHARE)
descriptor = bytes((ctypes.c_size_t * 2)(1024, 1024)) + bytes((ctypes.c_int * 2)(0x20, 1))
prop, low = AllocationProp(type=1, location=Location(1, 0)), ctypes.c_uint()
graph = instantiate(graph_of(32 * MIB)[0])
results = [attempt("cuMemAllocAsync", 1, 0)[0], attempt("cuMemAllocFromPoolAsync", 1, pool, 0)[0],
           attempt("cuArrayCreate_v2", descriptor)[0], attempt("cuMemCreate", 2 * MIB, byref(prop), 0)[0],
           call("cuMemAlloc", byref(low), 1), call("cuGraphLaunch", graph, 0)]
assert results == [OOM] * 6, results
assert free_bytes() == HOST
""")

    def test_a_device_that_is_full_is_not_a_share_that_is_full(self):
        stranger = self.spawn("start(); held = alloc(4000 * MIB); print(1, flush=True); sys.stdin.readline()", preload=False)
        self.assertEqual(stranger.stdout.readline(), "1\n")
        self.run_body("""
start()
assert attempt("cuMemAlloc_v2", 200 * MIB)[0] == OOM
assert free_bytes() == 96 * MIB + HOST
""")
        self.assertEqual(self.calls("cuMemAllocManaged"), [])
        stranger.communicate("\n")

    def test_what_the_driver_refuses_costs_nothing(self):
        self.run_body("""
start()
alloc(SHARE)
assert attempt("cuMemAlloc_v2", 1 << 48)[0] == OOM
assert free_bytes() == 1 << 50
""", TESSERA_LIMITS=self.limits(1 << 30))
        self.assertEqual(self.calls("cuMemAllocManaged"), [f"bytes={1 << 48} flags=1 result=2"])

    # --- Who may -------------------------------------------------------------------------------
    def test_off_nothing_is_different(self):
        self.run_body("""
start()
held = fill(MIB)
assert len(held) == SHARE // MIB and free_bytes() == 0 and info()[1] == SHARE
assert attempt("cuMemAllocManaged", MIB, 1)[0] == OOM
""", TESSERA_LIMITS=self.limits(0))
        self.assertEqual((self.calls("cuMemAllocManaged"), self.calls("cuMemAdvise")), ([], []))
        self.assertEqual(self.denied(), 2)

    def test_each_gpu_has_a_cap_of_its_own(self):
        limits = f"v1 fixed-share {GPUS[0]}:64:50:32 {GPUS[1]}:32:50 {GPUS[2]}:16:50:8"
        out = self.run_body("""
for ordinal in range(3):
    start(ordinal)
    print(len(fill(2 * MIB)) * 2, free_bytes())
""", TESSERA_LIMITS=limits)
        self.assertEqual(out, "96 0\n32 0\n24 0\n")

    # --- Who ends, and how ---------------------------------------------------------------------
    def test_a_context_that_ends_gives_it_back(self):
        self.run_body("""
check("cuInit", 0)
kept = get("cuCtxCreate_v2", 0, 0)
mine = alloc(SHARE), alloc(32 * MIB)
context = get("cuCtxCreate_v2", 0, 0)
alloc(64 * MIB)
assert free_bytes() == HOST - 96 * MIB
check("cuCtxDestroy_v2", context)
assert free_bytes() == HOST - 32 * MIB, "the other context's remains"
again = alloc(HOST - 32 * MIB)
assert is_managed(again), "nothing has come back to the share"
check("cuMemFree_v2", again)
start(); alloc(64 * MIB)
check("cuDevicePrimaryCtxReset_v2", 0)
check("cuCtxSetCurrent", kept)
assert free_bytes() == HOST - 32 * MIB
check("cuMemFree_v2", mine[1])
assert free_bytes() == HOST
""")

    def hold(self, mib=SHARE + HOST):
        process = self.spawn(HELPERS + f"""
start()
held = [alloc(min(SHARE, {mib} * MIB)), alloc({mib} * MIB - SHARE)]
print("held", flush=True); sys.stdin.readline()
""")
        self.assertEqual(process.stdout.readline(), "held\n", process.poll())
        return process

    def test_processes_share_the_cap_and_a_killed_one_gives_back(self):
        holder = self.hold()
        waiting = self.spawn(HELPERS + """
start()
print(free_bytes() == 0 and attempt("cuMemAlloc_v2", 1)[0] == OOM, flush=True)
sys.stdin.readline()
a, b = alloc(SHARE), alloc(HOST)
print(is_managed(b), free_bytes(), flush=True)
""")
        self.assertEqual(waiting.stdout.readline(), "True\n")
        holder.kill()
        holder.communicate()
        self.assertEqual(waiting.communicate("\n", timeout=60)[0], "True 0\n")

    def test_a_query_sees_what_the_dead_had(self):
        asker = self.spawn("start(); print(free_bytes(), flush=True); sys.stdin.readline(); print(free_bytes())")
        everything = f"{SHARE + HOST << 20}\n"
        self.assertEqual(asker.stdout.readline(), everything)
        # It holds nothing of the device: host memory alone is what is looked for.
        process = self.spawn(HELPERS + """
start()
first = alloc(SHARE); more = alloc(HOST); check("cuMemFree_v2", first)
print("held", flush=True); sys.stdin.readline()
""")
        self.assertEqual(process.stdout.readline(), "held\n")
        process.kill()
        process.wait()
        self.assertEqual(asker.communicate("\n", timeout=60)[0], everything)
        process.communicate()

    def test_racing_processes_get_share_and_cap_exactly(self):
        processes = [self.spawn("""
start()
print("ready", flush=True); sys.stdin.readline()
print(len(fill(2 * MIB)), flush=True); sys.stdin.readline()
""") for _ in range(4)]
        for process in processes:
            self.assertEqual(process.stdout.readline(), "ready\n")
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        got = sum(int(process.stdout.readline()) for process in processes)
        for process in processes:
            process.communicate("\n", timeout=60)
        self.assertEqual(got, (SHARE + HOST) // 2)

    def test_racing_threads_take_and_free_and_nothing_is_left(self):
        self.run_body("""
import random, threading
context = start()
def work(seed):
    check("cuCtxSetCurrent", context)
    choice, held = random.Random(seed), []
    for _ in range(400):
        if held and choice.random() < 0.5:
            check("cuMemFree_v2", held.pop(choice.randrange(len(held))))
        else:
            result, ptr = attempt("cuMemAlloc_v2", choice.choice([1, 3, 20, 50]) * MIB)
            if result == OK: held.append(ptr)
    for ptr in held: check("cuMemFree_v2", ptr)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert free_bytes() == SHARE + HOST
""")
        self.assertGreater(len(self.calls("cuMemAllocManaged")), 20)

    def test_a_forked_child_has_none_of_it_and_its_end_changes_nothing(self):
        self.run_body(f"""
start()
alloc(SHARE)
more = alloc(HOST // 2)
child = os.fork()
if child == 0:
    os._exit(0 if [call("cuMemFree_v2", more), attempt("cuMemAlloc_v2", HOST // 2)[0]] == [{NOT_INITIALIZED}] * 2 else 1)
assert os.waitpid(child, 0)[1] == 0
assert free_bytes() == HOST // 2
check("cuMemFree_v2", more)
assert free_bytes() == HOST
""")

    # --- What is told --------------------------------------------------------------------------
    def test_every_question_tells_share_and_cap(self):
        out = self.run_body(QUERIES + """
start()
print(*everywhere())
first = alloc(200 * MIB); print(*everywhere())
more = alloc(100 * MIB); print(*everywhere())
check("cuMemFree_v2", first); print(*everywhere())
""")
        self.assertEqual(out.split("\n")[:-1], ["384 384 0", "184 384 200", "84 384 300", "284 384 100"])

    def test_a_process_list_adds_up_to_what_is_used(self):
        out = self.run_body(QUERIES + """
class Process(ctypes.Structure): _fields_ = [("pid", c_uint), ("memory", c_ulonglong), ("gi", c_uint), ("ci", c_uint)]
start(); alloc(SHARE); alloc(30 * MIB)
used, handle, count, list = everywhere()[2], c_void_p(), c_uint(8), (Process * 8)()
nvml.nvmlDeviceGetHandleByIndex_v2(0, byref(handle))
assert nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle, byref(count), list) == 0
print(used, count.value, list[0].memory // MIB)
""")
        self.assertEqual(out, "286 1 286\n")

    def test_never_more_free_than_device_and_cap_have(self):
        stranger = self.spawn("start(); held = alloc(4000 * MIB); print(1, flush=True); sys.stdin.readline()", preload=False)
        self.assertEqual(stranger.stdout.readline(), "1\n")
        self.assertEqual(self.run_body(QUERIES + "start(); print(*everywhere())"), f"{96 + HOST} {SHARE + HOST} 0\n")
        stranger.communicate("\n")

    def test_it_may_be_more_than_the_device_has(self):
        limits = self.limits(8192, share=4096)
        out = self.run_body("start(); print(info()[1] // MIB); alloc(4096 * MIB); print(is_managed(alloc(8000 * MIB)))",
                            TESSERA_LIMITS=limits)
        self.assertEqual(out, "12288\nTrue\n")

    # --- What changes --------------------------------------------------------------------------
    def test_the_cap_follows_the_limits_file(self):
        path = f"{self.folder}/limits"
        with open(path, "w") as file:
            file.write(self.limits(0))
        self.run_body(f"""
import time
def become(text, total):
    with open({path!r}, "w") as file: file.write(text)
    end = time.time() + 10
    while info()[1] != total * MIB and time.time() < end: time.sleep(0.02)
    assert info()[1] == total * MIB, info()
start()
alloc(SHARE)
assert attempt("cuMemAlloc_v2", MIB)[0] == OOM
with open({path!r}, "w") as file: file.write({self.limits(64)!r})
more = alloc(40 * MIB)
assert is_managed(more), "looked at before a refusal"
become({self.limits(16)!r}, SHARE // MIB + 16)
assert free_bytes() == 0 and attempt("cuMemAlloc_v2", 1)[0] == OOM, "less than is in use takes nothing away"
become({self.limits(0)!r}, SHARE // MIB)
assert attempt("cuMemAlloc_v2", 1)[0] == OOM and write_and_read(more, 40 * MIB)
become({self.limits(64)!r}, SHARE // MIB + 64)
assert free_bytes() == 24 * MIB, "still charged"
check("cuMemFree_v2", more)
assert free_bytes() == 64 * MIB
""", TESSERA_LIMITS_FILE=path)

    def test_a_region_says_what_the_agent_shall_know(self):
        self.run_body("start(); alloc(SHARE); alloc(HOST)")
        with open(f"{self.folder}/region/region", "rb") as file:
            region = file.read()
        self.assertEqual(struct.unpack_from("<QQ", region, HOST_AT), (HOST << 20, 0))

    def test_a_scribbled_account_gives_nothing_and_does_not_crash(self):
        for name, offset, size in [("host memory, all of it", HOST_AT, 16 * 64), ("its head", HOST_AT + 32, 8),
                                   ("what processes have", HOST_AT + 16 * 64, 128 * 16 * 64)]:
            with self.subTest(name):
                self.run_body(f"""
start()
plain, more = alloc(SHARE), alloc(MIB)
with open({self.folder!r} + "/region/region", "r+b") as file:
    file.seek({offset}); file.write(b"\\xa5" * {size})
assert attempt("cuMemAlloc_v2", MIB)[0] == OOM and free_bytes() == 0
check("cuMemFree_v2", more)
check("cuMemFree_v2", plain)
assert attempt("cuMemAlloc_v2", SHARE)[0] == OK, "the share is another account"
""")
                os.remove(f"{self.folder}/region/region")

    def test_a_damaged_share_is_no_reason_to_go_elsewhere(self):
        self.run_body(f"""
start()
alloc(MIB)
with open({self.folder!r} + "/region/region", "r+b") as file:
    file.seek({HEAD_AT}); file.write(b"\\xa5" * 8)
assert attempt("cuMemAlloc_v2", MIB)[0] == OOM
""")
        self.assertEqual(self.calls("cuMemAllocManaged"), [])

    def test_what_is_refused_is_traced_with_both_figures(self):
        process = self.spawn("start(); fill(2 * MIB)", TESSERA_LOG="debug")
        line = process.communicate(timeout=60)[1]
        self.assertRegex(line, re.compile(rf"refused {2 << 20} bytes on {GPUS[0]}: {SHARE << 20} of {SHARE << 20} in use, "
                                          rf"of host memory {HOST << 20} of {HOST << 20}$", re.M))


class WithoutFaults(Oversubscribed):
    """GPUs that cannot fetch managed memory page by page."""
    gpu_options = "faults=0"

    def test_the_ordinary_out_of_memory_and_the_share_alone(self):
        self.run_body(QUERIES + """
start()
assert everywhere()[:2] == (256, 256)
held = fill(2 * MIB)
assert len(held) == SHARE // (2 * MIB) and everywhere() == (0, 256, 256)
""")
        self.assertEqual(self.calls("cuMemAllocManaged"), [])
        out = self.run_body(QUERIES + "print(*everywhere(cuda_too=False))")
        self.assertEqual(out, "256 256 0\n", "a process that knows of NVML alone says the same")


if __name__ == "__main__":
    in_child.main()
