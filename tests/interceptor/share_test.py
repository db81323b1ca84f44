#!/usr/bin/env python3
"""Shared memory is paid for once, by the process that made it. Usage: share_test.py BUILD_FOLDER"""
import in_child

MAKE = """
start()
prop = cuda.AllocationProp(type=1, handle_types=1, location=cuda.Location(1, 0))
handle = get("cuMemCreate", 64 * MIB, byref(prop), 0)
fd = c_int()
"""
IMPORTER = """
import sys
from cuda import *
start()
before = free_bytes()
handle = get("cuMemImportFromShareableHandle", c_void_p(int(sys.argv[1])), 1)
place = get("cuMemAddressReserve", 64 * MIB, 0, 0, 0)
check("cuMemMap", place, 64 * MIB, 0, handle, 0)
assert free_bytes() == before == (256 - 64) * MIB
check("cuMemRelease", handle)
check("cuMemRelease", get("cuMemRetainAllocationHandle", place))
check("cuMemUnmap", place, 64 * MIB)
assert free_bytes() == before
"""


class Sharing(in_child.Container):
    driver_line = "driver cuda=13010\n"

    def test_an_importer_in_the_container_is_charged_nothing(self):
        self.run_body(MAKE + f"""
import subprocess
check("cuMemExportToShareableHandle", byref(fd), handle, 1, 0)
subprocess.run([sys.executable, "-c", {IMPORTER!r}, str(fd.value)], check=True, pass_fds=[fd.value])
assert free_bytes() == LIMIT - 64 * MIB
""")

    def test_what_a_descriptor_may_keep_alive_stays_charged(self):
        self.run_body(MAKE + """
check("cuMemExportToShareableHandle", byref(fd), handle, 1, 0)
check("cuMemRelease", handle)
assert free_bytes() == LIMIT - 64 * MIB, "the descriptor alone keeps it"
again = get("cuMemImportFromShareableHandle", c_void_p(fd.value), 1)
assert free_bytes() == LIMIT - 64 * MIB, "and not twice"
check("cuMemRelease", again)
assert free_bytes() == LIMIT - 64 * MIB
assert len(fill(64 * MIB)) == 3
""")

    def test_it_goes_with_its_maker(self):
        self.run_body(MAKE + 'check("cuMemExportToShareableHandle", byref(fd), handle, 1, 0)\ncheck("cuMemRelease", handle)')
        self.run_body("start()\nassert free_bytes() == LIMIT")

    def test_a_failed_export_keeps_nothing(self):
        body = MAKE + """
print([call("cuMemExportToShareableHandle", None, handle, 1, 0), call("cuMemExportToShareableHandle", byref(fd), 0, 1, 0),
       call("cuMemExportToShareableHandle", byref(fd), handle, 4711, 0), call("cuMemImportFromShareableHandle", None, 0, 1),
       call("cuMemImportFromShareableHandle", byref(c_ulonglong()), c_void_p(0), 1)])
check("cuMemRelease", handle)
"""
        self.assertEqual(self.run_body(body + "assert free_bytes() == LIMIT"), self.run_body(body, preload=False))

    def test_every_retained_handle_is_a_reference(self):
        self.run_body(MAKE + """
place = get("cuMemAddressReserve", 64 * MIB, 0, 0, 0)
check("cuMemMap", place, 64 * MIB, 0, handle, 0)
more = [get("cuMemRetainAllocationHandle", place) for _ in range(3)]
check("cuMemUnmap", place, 64 * MIB)
for one in [handle] + more:
    assert free_bytes() == LIMIT - 64 * MIB
    check("cuMemRelease", one)
assert free_bytes() == LIMIT
assert call("cuMemRelease", handle) == INVALID_VALUE
assert free_bytes() == LIMIT
""")

    def test_memory_that_is_opened_by_ipc_is_the_makers(self):
        """Opened twice, closed as often, freed by its maker."""
        maker = self.spawn("""
start()
ptr = alloc(64 * MIB)
print(ipc_handle(ptr).hex(), flush=True)
sys.stdin.readline()
check("cuMemFree_v2", ptr)
assert free_bytes() == LIMIT
print("freed", flush=True)
sys.stdin.readline()
""")
        self.run_body(f"""
start()
handle = bytes.fromhex("{maker.stdout.readline().strip()}")
assert free_bytes() == LIMIT - 64 * MIB
for name in ["cuIpcOpenMemHandle", "cuIpcOpenMemHandle_v2"]:
    result, ptr = ipc_open(handle, name)
    assert result == OK and ipc_open(handle, name) == (OK, ptr)
    assert free_bytes() == LIMIT - 64 * MIB, "an import is charged nothing"
    assert call("cuMemFree_v2", ptr) != OK, "it is not ours to free"
    check("cuIpcCloseMemHandle", ptr)
    check("cuIpcCloseMemHandle", ptr)
    assert call("cuIpcCloseMemHandle", ptr) != OK
    assert free_bytes() == LIMIT - 64 * MIB, "its maker has it"
held = fill(64 * MIB)
assert len(held) == 3
assert ipc_open(handle)[0] == OK, "and nothing stands in the way of it"
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == LIMIT - 64 * MIB
""")
        maker.stdin.write("\n")
        maker.stdin.flush()
        self.assertEqual(maker.stdout.readline(), "freed\n")
        maker.communicate()

    def test_an_importer_returns_nothing_when_its_maker_has_died(self):
        maker = self.spawn("""
start()
print(ipc_handle(alloc(64 * MIB)).hex(), flush=True)
sys.stdin.readline()
""")
        importer = self.spawn(f"""
start()
result, ptr = ipc_open(bytes.fromhex("{maker.stdout.readline().strip()}"))
assert result == OK
own = alloc(32 * MIB)
print("open", flush=True)
sys.stdin.readline()
assert free_bytes() == LIMIT - 32 * MIB, "what was the maker's went with it"
check("cuIpcCloseMemHandle", ptr)
assert free_bytes() == LIMIT - 32 * MIB
check("cuMemFree_v2", own)
assert free_bytes() == LIMIT
""")
        self.assertEqual(importer.stdout.readline(), "open\n")
        maker.kill()
        maker.communicate()
        device = "start()\nprint(free_bytes() // MIB)"
        self.assertEqual(self.run_body(device, preload=False), f"{4096 - 64 - 32}\n", "the importer has it open")
        _, errors = importer.communicate("\n")
        self.assertEqual((importer.returncode, errors), (0, ""))
        self.assertEqual(self.run_body(device, preload=False), "4096\n")

    def test_a_pool_that_is_shared_is_paid_for_by_its_maker(self):
        self.run_body("""
import subprocess
start()
props = cuda.PoolProps(alloc_type=1, handle_types=1, location=cuda.Location(1, 0))
pool = get("cuMemPoolCreate", byref(props))
fd = c_int()
check("cuMemPoolExportToShareableHandle", byref(fd), pool, 1, 0)
ptr = get("cuMemAllocFromPoolAsync", 20 * MIB, pool, 0)
data = cuda.IpcHandle()
check("cuMemPoolExportPointer", byref(data), ptr)
assert free_bytes() == LIMIT - 32 * MIB
subprocess.run([sys.executable, "-c", IMPORTER, str(fd.value), bytes(data).hex()], check=True, pass_fds=[fd.value])
assert free_bytes() == LIMIT - 32 * MIB, "the importer has freed its view, and not the memory"
check("cuMemFreeAsync", ptr, 0)
check("cuCtxSynchronize")
check("cuMemPoolDestroy", pool)
assert free_bytes() == LIMIT
""".replace("IMPORTER", repr("""
import sys
from cuda import *
start()
before = free_bytes()
pool = get("cuMemPoolImportFromShareableHandle", c_void_p(int(sys.argv[1])), 1, 0)
for free in [("cuMemFree_v2",), ("cuMemFreeAsync", 0)]:
    ptr = get("cuMemPoolImportPointer", pool, byref(cuda.IpcHandle.from_buffer_copy(bytes.fromhex(sys.argv[2]))))
    assert free_bytes() == before == (256 - 32) * MIB
    check(free[0], ptr, *free[1:])
    assert call(free[0], ptr, *free[1:]) != OK
    assert attempt("cuMemAllocFromPoolAsync", MIB, pool, 0)[0] == INVALID_VALUE
    check("cuCtxSynchronize")
    assert free_bytes() == before
check("cuMemPoolDestroy", pool)
assert free_bytes() == before
""".replace("import *", "import *\nimport cuda"))))

    def test_what_is_bound_to_a_multicast_object_stays_charged(self):
        for bind in ["cuMulticastBindMem", "cuMulticastBindMem_v2", "cuMulticastBindAddr", "cuMulticastBindAddr_v2"]:
            with self.subTest(bind):
                self.run_body(f"""
start()
team = make_team(64 * MIB, 0)
assert free_bytes() == LIMIT, "addresses, and no memory"
handle = create(32 * MIB)
place = mapped(handle, 32 * MIB)
device = [0] if "{bind}".endswith("_v2") else []
what = [handle, 0] if "BindMem" in "{bind}" else [place]
assert call("{bind}", team, *device, MIB, *what, 32 * MIB, 0) == INVALID_VALUE
check("{bind}", team, *device, 0, *what, 32 * MIB, 0)
check("cuMemUnmap", place, 32 * MIB)
check("cuMemRelease", handle)
assert free_bytes() == LIMIT - 32 * MIB, "the multicast object has it"
other = create(32 * MIB)
assert call("cuMulticastBindMem", team, 0, other, 0, 32 * MIB, 0) == INVALID_VALUE, "there is something"
check("cuMemRelease", other)
assert free_bytes() == LIMIT - 32 * MIB, "a failed binding keeps nothing"
check("cuMulticastUnbind", team, 0, 0, 32 * MIB)
check("cuMemRelease", team)
assert free_bytes() == LIMIT - 32 * MIB, "to its maker's end: never too little"
""")
                self.run_body("start()\nassert free_bytes() == LIMIT")

    def test_a_part_of_a_mapping_that_is_bound_keeps_the_whole(self):
        for bind in ["cuMulticastBindAddr", "cuMulticastBindAddr_v2"]:
            device = "0, " if bind.endswith("_v2") else ""
            with self.subTest(bind):
                self.run_body(f"""
start()
team = make_team(64 * MIB, 0)
handle = create(32 * MIB)
place = mapped(handle, 32 * MIB)
assert call("{bind}", team, {device}0, place + 16 * MIB, 32 * MIB, 0) == INVALID_VALUE, "beyond its end"
check("{bind}", team, {device}0, place + 16 * MIB, 16 * MIB, 0)
check("cuMemUnmap", place, 32 * MIB)
check("cuMemRelease", handle)
assert free_bytes() == LIMIT - 32 * MIB, "the multicast object has it"
""")

    def test_what_lies_behind_an_array_stays_charged(self):
        for name in ["cuMemMapArrayAsync", "cuMemMapArrayAsync_ptsz"]:
            self.run_body(f"""
start()
class Part(ctypes.Structure):
    _fields_ = [("resource_type", c_int), ("array", c_ulonglong), ("part_type", c_int), ("part", c_ulonglong * 4),
                ("operation", c_int), ("handle_type", c_int), ("handle", c_ulonglong), ("offset", c_ulonglong),
                ("devices", c_uint), ("flags", c_uint), ("reserved", c_uint * 2)]
handle, other = create(32 * MIB), create(32 * MIB)
parts = (Part * 2)(Part(0, 1, 0, (c_ulonglong * 4)(7), 1, 0, handle), Part(0, 1, 0, (c_ulonglong * 4)(8), 2, 0, other))
assert call("{name}", byref(Part(0, 1, 0, (c_ulonglong * 4)(9), 1, 0, 4711)), 1, 0) == INVALID_VALUE
check("{name}", parts, 2, 0)
check("cuMemRelease", handle)
check("cuMemRelease", other)
assert free_bytes() == LIMIT - 32 * MIB, "the array has one, the other was unmapped"
""")
            self.run_body("start()\nassert free_bytes() == LIMIT")

    def test_physical_memory_is_charged_where_it_is_made(self):
        self.run_body("""
start()
prop = cuda.AllocationProp(type=1, location=cuda.Location(1, 1))
handle = get("cuMemCreate", 64 * MIB, byref(prop), 0)
assert free_bytes() == LIMIT
assert attempt("cuMemCreate", 66 * MIB, byref(prop), 0)[0] == OOM
use(1)
assert free_bytes() == LIMIT // 2 - 64 * MIB
""")

    def test_places_that_are_none_are_the_drivers_to_refuse(self):
        body = """
start()
out = c_ulonglong()
def prop(kind, device): return byref(cuda.AllocationProp(type=1, location=cuda.Location(kind, device)))
def props(kind, device): return byref(cuda.PoolProps(alloc_type=1, location=cuda.Location(kind, device)))
print([call("cuMemCreate", byref(out), 2 * MIB, prop(1, device), 0) for device in (99, -1)],
      [call("cuMemCreate", byref(out), size, prop(1, 0), 0) for size in (0, 1, 3 * MIB)],
      [call("cuMemCreate", byref(out), 2 * MIB, prop(kind, 0), 0) for kind in (0, 2, 3)],
      [call("cuMemPoolCreate", byref(out), props(1, device)) for device in (99, -1)],
      [call("cuMemPoolCreate", byref(out), props(kind, 0)) for kind in (0, 2, 3)])
"""
        self.assertEqual(self.run_body(body + "assert free_bytes() == LIMIT"), self.run_body(body, preload=False))


if __name__ == "__main__":
    in_child.main()
