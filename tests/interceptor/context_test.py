#!/usr/bin/env python3
"""Contexts that end give back what their allocations were charged, once. Usage: context_test.py BUILD_FOLDER"""
import in_child

MAKE_SOME = """
def take_some():
    descriptor = (ctypes.c_size_t * 2)(1024, 1024), (ctypes.c_int * 2)(0x20, 1)
    raw = bytes(descriptor[0]) + bytes(descriptor[1])
    pitch = ctypes.c_size_t()
    return [alloc(10 * MIB), alloc(MIB, "cuMemAllocManaged", 1), get("cuArrayCreate_v2", raw),
            get("cuMemAllocPitch_v2", byref(pitch), 1024, 1024, 4)]
"""


class Contexts(in_child.Container):
    def test_a_destroyed_context_gives_back_its_allocations(self):
        for destroy in ["cuCtxDestroy_v2", "cuCtxDestroy"]:
            self.run_body(MAKE_SOME + f"""
check("cuInit", 0)
kept = get("cuCtxCreate_v2", 0, 0)
mine = take_some()
before = free_bytes()
context = get("cuCtxCreate_v2", 0, 0)
take_some()
assert free_bytes() < before
check("{destroy}", context)
assert free_bytes() == before, "the other context's remain"
assert call("{destroy}", 0) != OK and call("{destroy}", kept + 8) != OK
assert free_bytes() == before
check("cuMemFree_v2", mine[0])
assert free_bytes() == before + 10 * MIB, "once and for one"
""")

    def test_the_primary_context_ends_with_its_last_reference(self):
        for release in ["cuDevicePrimaryCtxRelease_v2", "cuDevicePrimaryCtxRelease"]:
            self.run_body(MAKE_SOME + f"""
start(); use(0)
take_some()
used = LIMIT - free_bytes()
check("{release}", 0)
assert free_bytes() == LIMIT - used, "one reference is left"
check("{release}", 0)
use(0)
assert free_bytes() == LIMIT
take_some()
assert free_bytes() == LIMIT - used
check("{release}", 0)
assert call("{release}", 0) == INVALID_CONTEXT
use(0)
assert free_bytes() == LIMIT
""")

    def test_a_reset_ends_it_whoever_holds_it(self):
        for reset in ["cuDevicePrimaryCtxReset_v2", "cuDevicePrimaryCtxReset"]:
            self.run_body(MAKE_SOME + f"""
start(); use(0)
old = take_some()
check("{reset}", 0)
check("{reset}", 0)
use(0)
assert free_bytes() == LIMIT
assert call("cuMemFree_v2", old[0]) == INVALID_VALUE
new = take_some()
assert free_bytes() < LIMIT
check("{reset}", 1)
assert free_bytes() < LIMIT, "another GPU's"
""")

    def test_without_a_good_context_the_answers_are_the_drivers_own(self):
        body = """
def ask():
    print([call("cuMemAlloc_v2", byref(c_ulonglong()), MIB), call("cuMemGetInfo_v2", byref(c_size_t()), byref(c_size_t()))])
ask()
check("cuInit", 0)
ask()
other = get("cuCtxCreate_v2", 0, 0)
ask()
check("cuCtxSetCurrent", 0)
ask()
check("cuCtxSetCurrent", other)
import threading
def destroy():
    check("cuCtxSetCurrent", other)
    check("cuCtxDestroy_v2", other)
thread = threading.Thread(target=destroy)
thread.start(); thread.join()
ask()
use(0)
print(LIMIT - free_bytes() if {limited} else 0)
"""
        for visible in ["0", "0,1"]:
            limited, bare = (self.run_body(body.replace("{limited}", str(preload)), preload, CUDA_VISIBLE_DEVICES=visible)
                             for preload in (True, False))
            self.assertEqual(limited, bare)
            self.assertEqual(bare.splitlines(), ["[3, 3]", "[201, 201]", "[0, 0]", "[201, 201]", "[709, 709]", "0"])

    def test_pools_outlive_a_context_and_stay_charged(self):
        self.run_body("""
start()
keep(default_pool(), 1 << 60)
alloc(MIB, "cuMemAllocAsync", 0)
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == LIMIT - reserved(default_pool())
""")

    def test_physical_memory_belongs_to_no_context(self):
        self.run_body("""
start()
prop = cuda.AllocationProp(type=1, location=cuda.Location(1, 0))
handle = get("cuMemCreate", 4 * MIB, byref(prop), 0)
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == LIMIT - 4 * MIB
check("cuMemRelease", handle)
assert free_bytes() == LIMIT
""")

    def test_a_thread_that_frees_while_the_context_ends_returns_nothing_twice(self):
        self.run_body("""
import threading
start()
anchor = alloc(100 * MIB)
for _ in range(50):
    context = get("cuCtxCreate_v2", 0, 0)
    held = [alloc(MIB) for _ in range(20)]
    thread = threading.Thread(target=lambda: [call("cuMemFree_v2", ptr) for ptr in held])
    thread.start()
    check("cuCtxDestroy_v2", context)
    thread.join()
# A free that lost the race keeps its charge at worst; nothing may be returned that others hold.
assert free_bytes() <= LIMIT - 100 * MIB
""")


if __name__ == "__main__":
    in_child.main()
