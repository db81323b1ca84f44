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
