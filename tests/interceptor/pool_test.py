#!/usr/bin/env python3
"""What pools take from a device is charged, whoever frees what and how. Usage: pool_test.py BUILD_FOLDER"""
import re

import in_child

CHUNK = 32


def as_pointers(call):
    return re.sub(r"\((stream|event|context)\b", r"(ctypes.c_void_p(\1)", call)


class Pools(in_child.Container):
    def test_a_pool_is_charged_with_what_it_reserves(self):
        self.run_body("""
start()
pool = default_pool()
keep(pool, 1 << 60)
a = alloc(1, "cuMemAllocAsync", 0)
assert reserved(pool) == 32 * MIB and free_bytes() == LIMIT - 32 * MIB, "a byte takes a chunk"
more = [alloc(MIB, "cuMemAllocAsync", 0) for _ in range(31)]
assert free_bytes() == LIMIT - 32 * MIB, "the chunk has room"
more.append(alloc(MIB, "cuMemAllocAsync", 0))
assert free_bytes() == LIMIT - 64 * MIB
for ptr in more: check("cuMemFreeAsync", ptr, 0)
check("cuCtxSynchronize")
assert free_bytes() == LIMIT - 64 * MIB, "kept below the threshold"
check("cuMemPoolTrimTo", pool, 0)
assert free_bytes() == LIMIT - 32 * MIB, "one byte still lives"
check("cuMemFree_v2", a)
check("cuMemPoolTrimTo", pool, 0)
assert free_bytes() == LIMIT
""")

    def test_pools_of_managed_memory_are_refused(self):
        """Their memory comes to the device page by page, and no attribute tells how much of it."""
        taking = """
start()
for location in [0, 1, 2]:
    props = cuda.PoolProps(alloc_type=2, location=cuda.Location(location, 0))
    result, pool = attempt("cuMemPoolCreate", byref(props))
    took = attempt("cuMemAllocFromPoolAsync", 2 * LIMIT, pool, 0)[0] if result == OK else None
    print(result, took, [attempt("cuMemAllocFromPoolAsync", MIB, managed_pool(location), 0)[0] for _ in range(2)])
assert free_bytes() == FREE
"""
        self.assertEqual(self.run_body(taking.replace("FREE", "4096 * MIB"), preload=False), "0 0 [0, 0]\n" * 3)
        self.assertEqual(self.run_body(taking.replace("FREE", "LIMIT")), "801 None [2, 2]\n" * 3)

    def test_every_synchronisation_returns_what_is_beyond_the_threshold(self):
        for sync in ["cuCtxSynchronize()", "cuCtxSynchronize_v2(None)", "cuCtxSynchronize_v2(context)",
                     "cuStreamSynchronize(0)", "cuStreamSynchronize_ptsz(0)",
                     "cuStreamSynchronize(stream)", "cuEventSynchronize(event)"]:
            for free in ["cuMemFreeAsync(ptr, 0)", "cuMemFreeAsync_ptsz(ptr, 0)", "cuMemFree_v2(ptr)"]:
                with self.subTest(f"{sync} {free}"):
                    self.run_body(f"""
context = start()
stream, event = get("cuStreamCreate", 0), get("cuEventCreate", 0)
ptr = alloc(40 * MIB, "cuMemAllocAsync", 0)
assert free_bytes() == LIMIT - 64 * MIB
assert driver.{free.replace("ptr", "ctypes.c_ulonglong(ptr)")} == 0
check("cuEventRecord", event, 0)
assert driver.{as_pointers(sync)} == 0
assert free_bytes() == LIMIT
""")

    def test_the_limit_holds_in_whole_chunks_and_a_refusal_leaves_nothing(self):
        self.run_body("""
start()
other = alloc(16 * MIB)
held = fill(MIB, "cuMemAllocAsync", 0)
assert len(held) == 224, len(held)
assert free_bytes() == 16 * MIB, "less than a chunk is left, for others"
assert attempt("cuMemAlloc_v2", 16 * MIB)[0] == OK
assert reserved(default_pool()) == 224 * MIB, "the refused growth went back to the device"
""")

    def test_too_large_a_request_never_reaches_the_device(self):
        self.run_body("""
start()
assert attempt("cuMemAllocAsync", LIMIT + 1, 0)[0] == OOM
high = pool_attribute(default_pool(), 6)
assert high == 0, high
""")

    def test_own_pools_are_charged_and_returned_when_they_are_destroyed(self):
        self.run_body("""
start()
pools = [make_pool() for _ in range(8)]
for pool in pools:
    keep(pool, 1 << 60)
    held = alloc(32 * MIB, "cuMemAllocFromPoolAsync", pool, 0)
    check("cuMemFreeAsync", held, 0)
assert free_bytes() == 0
assert attempt("cuMemAllocFromPoolAsync", 33 * MIB, make_pool(), 0)[0] == OK, "unused memory of pools stands in nobody's way"
for pool in pools: check("cuMemPoolDestroy", pool)
check("cuCtxSynchronize")
assert free_bytes() == LIMIT - 64 * MIB, free_bytes()
""")

    def test_a_destroyed_pools_blocks_are_charged_until_the_last_is_freed(self):
        self.run_body("""
start()
pool = make_pool()
held = [alloc(MIB, "cuMemAllocFromPoolAsync", pool, 0) for _ in range(2)]
check("cuMemPoolDestroy", pool)
assert free_bytes() == LIMIT - 32 * MIB
check("cuMemFreeAsync", held[0], 0)
assert free_bytes() == LIMIT - 32 * MIB
check("cuMemFree_v2", held[1])
assert free_bytes() == LIMIT
assert call("cuMemPoolDestroy", pool) == INVALID_VALUE
assert free_bytes() == LIMIT
""")

    def test_unused_memory_of_pools_makes_room_for_other_kinds(self):
        self.run_body("""
start()
keep(default_pool(), 1 << 60)
ptr = alloc(LIMIT, "cuMemAllocAsync", 0)
check("cuMemFreeAsync", ptr, 0)
check("cuCtxSynchronize")
assert free_bytes() == 0
alloc(LIMIT)
assert attempt("cuMemAlloc_v2", 1)[0] == OOM
""")

    def test_the_pool_that_a_device_uses_may_change(self):
        self.run_body("""
start()
pool = make_pool()
first = alloc(MIB, "cuMemAllocAsync", 0)
check("cuDeviceSetMemPool", 0, pool)
second = alloc(MIB, "cuMemAllocAsync", 0)
assert reserved(pool) == 32 * MIB and free_bytes() == LIMIT - 64 * MIB
check("cuMemPoolDestroy", pool)
third = alloc(MIB, "cuMemAllocAsync", 0)
assert free_bytes() == LIMIT - 64 * MIB, "from the default pool again"
for ptr in [first, second, third]: check("cuMemFree_v2", ptr)
check("cuMemPoolTrimTo", default_pool(), 0)
assert free_bytes() == LIMIT
""")

    def test_memory_is_charged_where_the_pool_is_whoever_frees_it(self):
        self.run_body("""
import threading
start(1); start(0)
held = fill(MIB, "cuMemAllocFromPoolAsync", default_pool(1), 0)
assert len(held) == LIMIT // 2 // MIB
assert free_bytes() == LIMIT
assert attempt("cuMemAllocFromPoolAsync", 1, default_pool(2), 0)[0] == OOM, "a GPU without a limit"
def free():
    use(0)
    for ptr in held: check("cuMemFree_v2", ptr)
thread = threading.Thread(target=free); thread.start(); thread.join()
check("cuMemPoolTrimTo", default_pool(1), 0)
use(1)
assert free_bytes() == LIMIT // 2
""")

    def test_racing_threads_get_the_limit_exactly(self):
        out = self.run_body("""
import threading
context = start()
got = []
def take(name, *args):
    check("cuCtxSetCurrent", context)
    got.append(len(fill(32 * MIB, name, *args)))
pools = [default_pool(), make_pool()]
threads = [threading.Thread(target=take, args=("cuMemAllocFromPoolAsync", pools[i % 2], 0)) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(got))
assert free_bytes() == 0
""")
        self.assertEqual(out, f"{self.limit_mib // CHUNK}\n")

    def test_racing_processes_get_the_limit_exactly(self):
        processes = [self.spawn("""
start()
print("ready", flush=True); sys.stdin.readline()
print(len(fill(32 * MIB, "cuMemAllocAsync", 0)), flush=True); sys.stdin.readline()
""") for _ in range(4)]
        for process in processes:
            self.assertEqual(process.stdout.readline(), "ready\n")
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        got = sum(int(process.stdout.readline()) for process in processes)
        for process in processes:
            process.communicate("\n", timeout=60)
        self.assertEqual(got, self.limit_mib // CHUNK)

    def test_nothing_or_nonsense_costs_nothing_and_answers_as_the_driver_does(self):
        body = """
start()
p = ctypes.c_ulonglong()
print([call("cuMemAllocAsync", None, 1, 0), call("cuMemAllocAsync", byref(p), 0, 0), p.value,
       call("cuMemAllocFromPoolAsync", byref(p), 1, 0, 0), call("cuMemAllocFromPoolAsync", byref(p), 1, 4711, 0),
       call("cuMemAllocFromPoolAsync", None, 1, default_pool(), 0), call("cuMemAllocAsync", byref(p), 1, 4711),
       call("cuMemFreeAsync", 0, 0), call("cuMemFreeAsync", 4711, 0), call("cuMemPoolCreate", None, None),
       call("cuMemPoolDestroy", 0), call("cuMemPoolDestroy", default_pool()), call("cuMemPoolTrimTo", 0, 0),
       call("cuDeviceSetMemPool", 99, default_pool()), call("cuStreamSynchronize", 4711),
       call("cuEventSynchronize", 0)])
"""
        self.assertEqual(self.run_body(body + "assert free_bytes() == LIMIT"), self.run_body(body, preload=False))


if __name__ == "__main__":
    in_child.main()
