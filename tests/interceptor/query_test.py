#!/usr/bin/env python3
"""What a container is told of its GPUs, by every question that there is. Usage: query_test.py BUILD_FOLDER"""
import json
import os
import unittest

from container import GPUS, LIMIT, MIB, PROGRAMS, Container

HOLD = "context()\nr, p = alloc({mib} * MIB)\ntell(r, os.getpid())\nsys.stdin.readline()\n"

PROCESSES = """
class V1(ctypes.Structure): _fields_ = [("pid", c_uint), ("memory", c_ulonglong)]
class V2(ctypes.Structure): _fields_ = V1._fields_ + [("gi", c_uint), ("ci", c_uint)]
class Sample(ctypes.Structure): _fields_ = [("pid", c_uint), ("time", c_ulonglong), ("use", c_uint * 4)]
class Use(ctypes.Structure): _fields_ = [("time", c_ulonglong), ("pid", c_uint), ("use", c_uint * 6)]
class Uses(ctypes.Structure):
    _fields_ = [("version", c_uint), ("count", c_uint), ("since", c_ulonglong), ("to", c_void_p)]
class Detail(ctypes.Structure): _fields_ = V2._fields_ + [("protected", c_ulonglong)]
class Details(ctypes.Structure):
    _fields_ = [("version", c_uint), ("mode", c_uint), ("count", c_uint), ("to", c_void_p)]
def version(struct, number): return ctypes.sizeof(struct) | number << 24
KINDS = {"Compute": [("", V1), ("_v2", V2), ("_v3", V2)]}
def running(handle, kind, suffix, struct, room=64):
    items, count = (struct * 64)(), c_uint(room)
    result = getattr(nvml, f"nvmlDeviceGet{kind}RunningProcesses{suffix}")(handle, byref(count), items if room else None)
    return [result, count.value, sorted([i.pid, i.memory] for i in items[:count.value]) if result == 0 else []]
"""


class Queries(Container):
    def hold(self, mib, **env):
        """A process that holds so much until its stdin ends; its pid."""
        process = self.start(HOLD.format(mib=mib), **env)
        result, pid = json.loads(process.stdout.readline())
        self.assertEqual(result, 0)
        return process, pid

    def stranger(self, mib):
        """A process of another container."""
        return self.hold(mib, preload=None)

    def ask(self, script, **env):
        return json.loads(self.run_in(script, **env))

    # --- Sizes ----------------------------------------------------------------------------------
    def test_every_question_for_memory_has_the_same_answer(self):
        self.hold(16)
        answer = self.ask("""
context(); alloc(8 * MIB)
class Memory(ctypes.Structure): _fields_ = [(n, c_ulonglong) for n in ("total", "free", "used")]
class Memory2(ctypes.Structure):
    _fields_ = [("version", c_uint)] + [(n, c_ulonglong) for n in ("total", "reserved", "free", "used")]
one, two, wide, narrow, low = Memory(), Memory2(), c_size_t(), c_uint(), (c_uint(), c_uint())
two.version = ctypes.sizeof(Memory2) | 2 << 24
handle = device()
results = [nvml.nvmlDeviceGetMemoryInfo(handle, byref(one)), nvml.nvmlDeviceGetMemoryInfo_v2(handle, byref(two)),
           cuda.cuDeviceTotalMem_v2(byref(wide), 0), cuda.cuDeviceTotalMem(byref(narrow), 0),
           cuda.cuMemGetInfo(byref(low[0]), byref(low[1]))]
tell({"results": results, "free": [info()[1], one.free, two.free, low[0].value],
      "total": [info()[2], one.total, two.total, wide.value, narrow.value, low[1].value],
      "used": [one.used, two.used], "reserved": two.reserved})""")
        self.assertEqual(answer["results"], [0] * 5)
        self.assertEqual(set(answer["total"]), {LIMIT})
        self.assertEqual(set(answer["free"]), {LIMIT - 24 * MIB})
        self.assertEqual(set(answer["used"]), {24 * MIB})
        self.assertEqual(answer["reserved"], 0)

    def test_never_more_free_than_the_device_has(self):
        self.stranger(1000)
        free = 24 * MIB
        answer = self.ask("""
context()
class Memory(ctypes.Structure): _fields_ = [(n, c_ulonglong) for n in ("total", "free", "used")]
memory = Memory()
nvml.nvmlDeviceGetMemoryInfo(device(), byref(memory))
tell(info(), [memory.total, memory.free, memory.used])""")
        self.assertEqual(answer, [[0, free, LIMIT], [LIMIT, free, 0]])

    def test_a_limit_below_what_is_in_use_leaves_nothing_free(self):
        limits = self.path("limits")
        with open(limits, "w") as file:
            file.write(f"v1 fixed-share {GPUS[0]}:64:50")
        answer = self.ask(f"""
import time
context(); alloc(48 * MIB)
with open({limits!r}, "w") as file: file.write("v1 fixed-share {GPUS[0]}:16:50")
class Memory(ctypes.Structure): _fields_ = [(n, c_ulonglong) for n in ("total", "free", "used")]
memory, end = Memory(), time.time() + 10
while info()[2] != 16 * MIB and time.time() < end: time.sleep(0.05)
nvml.nvmlDeviceGetMemoryInfo(device(), byref(memory))
tell(info(), [memory.total, memory.free, memory.used])""", TESSERA_LIMITS_FILE=limits)
        self.assertEqual(answer, [[0, 0, 16 * MIB], [16 * MIB, 0, 16 * MIB]])

    def test_odd_arguments_get_the_drivers_answer(self):
        script = """
context()
ptr, pitch, low = c_uint64(), c_size_t(), c_uint()
def pitched(width, height, element):
    return cuda.cuMemAllocPitch_v2(byref(ptr), byref(pitch), c_size_t(width), c_size_t(height), element)
tell([pitched(16, 16, element) for element in (0, 3, 32)], [pitched(*shape, 4) for shape in ((0, 16), (16, 0), (0, 0))],
     [cuda.cuDeviceTotalMem_v2(byref(pitch), ordinal) for ordinal in (-1, 3, 99)],
     [cuda.cuMemGetInfo(None, None), cuda.cuMemGetInfo(byref(low), None), cuda.cuDeviceTotalMem(None, 0)],
     [nvml.nvmlDeviceGetMemoryInfo(handle, None) for handle in (None, device(), c_void_p(8))],
     [nvml.nvmlDeviceGetMemoryInfo_v2(handle, None) for handle in (None, device(), c_void_p(8))],
     info()[0], cuda.cuMemFree_v2(c_uint64(0x1234)), cuda.cuMemFreeAsync(c_uint64(0x1234), None))"""
        self.assertEqual(self.ask(script), self.ask(script, preload=None))

    def test_a_wrong_version_of_the_question_gets_the_drivers_answer(self):
        script = """
memory = (c_uint64 * 8)()
results = []
for version in [0, 1, 40 | 1 << 24, 40 | 3 << 24]:
    memory[0] = version
    results.append(nvml.nvmlDeviceGetMemoryInfo_v2(device(), memory))
tell(results, list(memory)[1:])"""
        self.assertEqual(self.ask(script), self.ask(script, preload=None))

    def test_a_device_is_the_same_by_index_uuid_and_bus(self):
        limits = f"v1 fixed-share {GPUS[0]}:8:50 {GPUS[1]}:16:50"
        answer = self.ask(f"""
device()
class Memory(ctypes.Structure): _fields_ = [(n, c_ulonglong) for n in ("total", "free", "used")]
class Pci(ctypes.Structure): _fields_ = [("legacy", ctypes.c_char * 16), ("n", c_uint * 5), ("bus", ctypes.c_char * 32)]
def total(handle):
    memory = Memory()
    return [nvml.nvmlDeviceGetMemoryInfo(handle, byref(memory)), memory.total // MIB]
answers = []
for index, uuid in enumerate({GPUS!r}):
    handles, pci = [c_void_p() for _ in range(5)], Pci()
    nvml.nvmlDeviceGetHandleByIndex_v2(index, byref(handles[0]))
    nvml.nvmlDeviceGetHandleByIndex(index, byref(handles[1]))
    nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), byref(handles[2]))
    nvml.nvmlDeviceGetPciInfo_v3(handles[0], byref(pci))
    nvml.nvmlDeviceGetHandleByPciBusId(pci.bus, byref(handles[3]))
    nvml.nvmlDeviceGetHandleByPciBusId_v2(pci.bus, byref(handles[4]))
    answers.append([total(handle) for handle in handles])
tell(answers)""", limits=limits)
        self.assertEqual(answer, [[[0, 8]] * 5, [[0, 16]] * 5, [[0, 0]] * 5], "the third was not given")

    def test_what_a_dead_process_had_is_free_at_the_next_question(self):
        script = self.start("context()\ntell(info())\nsys.stdin.readline()\ntell(info())")
        self.assertEqual(json.loads(script.stdout.readline()), [0, LIMIT, LIMIT])
        victim, _ = self.hold(40)
        victim.kill()
        victim.wait()
        output, _ = script.communicate("\n")
        self.assertEqual(json.loads(output), [0, LIMIT, LIMIT])

    def test_cuda_and_nvml_number_gpus_differently_and_mean_the_same(self):
        limits = f"v1 fixed-share {GPUS[0]}:8:50 {GPUS[1]}:16:50 {GPUS[2]}:32:50"
        nvml_first = "device(); context(0)"
        for visible, order, want in [("1", nvml_first, 16), ("1", "context(0); device()", 16), (GPUS[2], nvml_first, 32),
                                     ("2,0", nvml_first, 32)]:
            with self.subTest(f"{visible}, {order}"):
                answer = self.ask(order + f"""
class Memory(ctypes.Structure): _fields_ = [(n, c_ulonglong) for n in ("total", "free", "used")]
held, memories = alloc({want} * MIB)[0], [Memory() for _ in range(3)]
for index, memory in enumerate(memories): nvml.nvmlDeviceGetMemoryInfo(device(index), byref(memory))
tell(held, alloc(1)[0], [[m.total // MIB, m.used // MIB] for m in memories])""", limits=limits,
                                  CUDA_VISIBLE_DEVICES=visible)
                self.assertEqual(answer, [0, 2, [[t, t if t == want else 0] for t in (8, 16, 32)]])

    # --- Who runs ------------------------------------------------------------------------------
    def test_process_lists_name_the_containers_own_processes_and_their_bytes(self):
        _, sibling = self.hold(16)
        self.stranger(100)
        me, *lists = self.ask(PROCESSES + """
context(); alloc(8 * MIB + 1)
handle = device()
detail, items = Details(version(Details, 1), 0, 64), (Detail * 64)()
detail.to = ctypes.addressof(items)
result = nvml.nvmlDeviceGetRunningProcessDetailList(handle, byref(detail))
pids, count = (c_uint * 64)(), c_uint(64)
counted = nvml.nvmlDeviceGetAccountingPids(handle, byref(count), pids)
tell(os.getpid(), *[running(handle, "Compute", *kind) for kind in KINDS["Compute"]],
     [result, detail.count, sorted([i.pid, i.memory] for i in items[:detail.count])],
     [counted, count.value, sorted(pids[:count.value])])""")
        # The driver would say 8 MiB and 512 bytes; the device gives up five blocks.
        mine = sorted([[me, 10 * MIB], [sibling, 16 * MIB]])
        self.assertEqual(lists[:4], [[0, 2, mine]] * 4)
        self.assertEqual(lists[4], [0, 2, sorted([me, sibling])])

    def test_lists_of_graphics_and_mps_are_there_and_empty(self):
        answer = self.ask(PROCESSES + """
context()
tell([running(device(), kind, suffix, V2) for kind in ("Graphics", "MPSCompute") for suffix in ("", "_v2", "_v3")])""")
        self.assertEqual(answer, [[0, 0, []]] * 6)

    def test_a_question_for_the_size_counts_the_containers_own(self):
        self.stranger(100)
        script = PROCESSES + """
handle = device()
before = running(handle, "Compute", "_v3", V2, room=0)
context()
count = c_uint(64)
no_array = [nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle, byref(count), None), count.value]
tell(before, running(handle, "Compute", "_v3", V2, room=0), no_array,
     nvml.nvmlDeviceGetComputeRunningProcesses_v3(handle, None, None),
     nvml.nvmlDeviceGetComputeRunningProcesses_v3(None, byref(count), None))"""
        insufficient, invalid = 7, 2
        self.assertEqual(self.ask(script), [[0, 0, []], [insufficient, 1, []], [invalid, 1], invalid, invalid])

    def test_more_processes_than_any_guess_are_filtered(self):
        wait, go = os.pipe()
        crowd = [self.start([f"{PROGRAMS}/guest", "hold"], stdin=wait, preload=None) for _ in range(80)]
        for process in crowd:
            self.assertEqual(process.stdout.readline(), "held\n")
        me, mine, size = self.ask(PROCESSES + """
context(); alloc(MIB)
tell(os.getpid(), running(device(), "Compute", "_v3", V2), running(device(), "Compute", "_v2", V2, room=0))""")
        self.assertEqual(mine, [0, 1, [[me, MIB]]])
        self.assertEqual(size, [7, 1, []])
        os.close(wait)
        os.close(go)

    def test_samples_of_use_are_the_containers_own(self):
        self.stranger(100)
        script = PROCESSES + """
handle = device()
def samples(room, since=0):
    items, count = (Sample * 128)(), c_uint(room)
    result = nvml.nvmlDeviceGetProcessUtilization(handle, items if room else None, byref(count), c_ulonglong(since))
    return [result, [i.pid for i in items[:count.value]] if result == 0 else count.value]
def uses():
    items = (Use * 128)()
    all = Uses(version(Uses, 1), 128, 0, ctypes.addressof(items))
    result = nvml.nvmlDeviceGetProcessesUtilizationInfo(handle, byref(all))
    return [result, [i.pid for i in items[:all.count]] if result == 0 else all.count]
before = [samples(128), uses()]
context()
tell(os.getpid(), before, [samples(128), uses(), samples(0)],
     nvml.nvmlDeviceGetProcessUtilization(handle, None, None, c_ulonglong(0)),
     nvml.nvmlDeviceGetProcessesUtilizationInfo(handle, None))"""
        me, before, after, null_count, null_info = self.ask(script)
        not_found = 6
        self.assertEqual(before, [[not_found, 0]] * 2, "the stranger alone")
        self.assertEqual(after[:2], [[0, [me]]] * 2)
        self.assertEqual(after[2][0], 7)
        self.assertEqual([null_count, null_info], [2, 2])

    def test_a_gpu_that_the_container_was_not_given_shows_nobody_else(self):
        self.start("context(1)\nalloc(MIB)\ntell(1)\nsys.stdin.readline()", preload=None).stdout.readline()
        self.assertEqual(self.ask(PROCESSES + 'tell(running(device(1), "Compute", "_v3", V2))'), [0, 0, []])

    def test_without_limits_nobody_is_listed(self):
        self.stranger(1)
        process = self.start(PROCESSES + """
items, count = (Sample * 128)(), c_uint(128)
tell(running(device(), "Compute", "_v3", V2)[0],
     nvml.nvmlDeviceGetProcessUtilization(device(), items, byref(count), c_ulonglong(0)), count.value)""",
                             limits="")
        no_permission = 4
        self.assertEqual(json.loads(process.stdout.readline()), [no_permission, no_permission, 0])


if __name__ == "__main__":
    unittest.main()
