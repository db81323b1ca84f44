#!/usr/bin/env python3
"""Where the library has no memory to remember an allocation by, it is freed and refused; and very many are remembered.
Usage: ledger_full_test.py BUILD_FOLDER"""
import signal

import in_child

# kind -> how to take 40 MiB or a context, and how to give it back
WAYS = {
    "cuMemAlloc_v2": ('attempt("cuMemAlloc_v2", 40 * MIB)', 'check("cuMemFree_v2", it)'),
    "cuMemAllocManaged": ('attempt("cuMemAllocManaged", 40 * MIB, 1)', 'check("cuMemFree_v2", it)'),
    "cuMemAllocPitch_v2": ('pitched(4096, 10240)', 'check("cuMemFree_v2", it)'),
    "cuMemAllocAsync": ('attempt("cuMemAllocAsync", 40 * MIB, 0)', 'check("cuMemFree_v2", it)'),
    "cuMemCreate": ('attempt("cuMemCreate", 40 * MIB, byref(prop), 0)', 'check("cuMemRelease", it)'),
    "cuModuleLoadData": ('attempt("cuModuleLoadData", module)', 'check("cuModuleUnload", it)'),
    "cuCtxCreate_v2": ('new_context()', 'check("cuCtxDestroy_v2", it); use(0)'),
    "cuGreenCtxCreate": ('attempt("cuGreenCtxCreate", desc, 0, 1)', 'check("cuGreenCtxDestroy", it)'),
    "cuCtxSetLimit": ('larger_limit()', 'check("cuCtxSetLimit", 1, MIB)'),
}
PRELUDE = """
start()
prop = cuda.AllocationProp(type=1, location=cuda.Location(1, 0))
module = cuda.PTX.replace(b".visible .entry noop", b".visible .global .align 4 .b8 data[41943040];\\n.visible .entry noop")
desc = sm_desc(8)
def pitched(width, height):
    ptr, pitch = c_ulonglong(), c_size_t()
    return call("cuMemAllocPitch_v2", byref(ptr), byref(pitch), width, height, 4), ptr.value
switch = c_int.in_dll(ctypes.CDLL(None), "no_memory")
def new_context():
    # Of a part of the ledger that has memory, as the primary context is there too, it is remembered: then the next one is asked for.
    held = []
    while True:
        result, it = attempt("cuCtxCreate_v2", 0, 0)
        if result != OK or switch.value == 0: break
        held.append(it)
        assert len(held) < 8, "never refused"
    for context in held: check("cuCtxDestroy_v2", context)
    use(0)
    return result, it
def larger_limit():
    # The same of a limit, whose part of the ledger the context's address decides: another process has another one.
    result = call("cuCtxSetLimit", 1, 41 * MIB)
    if result == OK and switch.value == 1:
        print("again", flush=True)
        os._exit(0)
    return result, 0
"""


class LedgerFull(in_child.Container):
    gpu_options = "context_mib=20 green_mib=40"

    def spawn(self, body, preload=True, **env):
        libraries = f"{self.build}/tests/interceptor/libno_memory.so"
        if preload:
            libraries += f":{self.build}/lib/libtessera.so"
        return super().spawn(body, preload=False, LD_PRELOAD=libraries, **env)

    def device_free(self):
        """By someone whom nothing limits."""
        return self.spawn('start()\nprint(free_bytes() // MIB, flush=True)', preload=False)

    def test_what_cannot_be_remembered_is_freed_and_refused(self):
        for name, (take, give) in WAYS.items():
            with self.subTest(name):
                body = PRELUDE + f"""
before = free_bytes()
switch.value = 1
for _ in range(3):
    result, _ = {take}
    assert result == OOM, result
switch.value = 0
check("cuCtxSynchronize")
assert free_bytes() == before, (before - free_bytes()) / MIB
print("refused", flush=True)
sys.stdin.readline()
result, it = {take}
assert result == OK, result
{give}
check("cuCtxSynchronize")
assert free_bytes() == before
"""
                for _ in range(8):
                    process = self.spawn(body)
                    said = process.stdout.readline()
                    if said != "again\n":
                        break
                    process.communicate()
                self.assertEqual(said, "refused\n", "" if process.poll() is None else process.stderr.read())
                watcher = self.device_free()
                self.assertEqual(watcher.communicate()[0], f"{4096 - 2 * 20}\n", "two contexts, and nothing else")
                output = process.communicate("\n")
                self.assertEqual((process.returncode, output[1]), (0, ""))

    def test_a_mapping_that_cannot_be_remembered_is_undone(self):
        self.run_body(PRELUDE + """
handle = create(40 * MIB)
place = get("cuMemAddressReserve", 40 * MIB, 0, 0, 0)
before = free_bytes()
switch.value = 1
assert call("cuMemMap", place, 40 * MIB, 0, handle, 0) == OOM
switch.value = 0
check("cuMemMap", place, 40 * MIB, 0, handle, 0)
check("cuMemRelease", handle)
assert free_bytes() == before
check("cuMemUnmap", place, 40 * MIB)
assert free_bytes() == before + 40 * MIB
""")

    def test_what_was_remembered_before_is_not_lost(self):
        self.run_body(PRELUDE + """
before, held = free_bytes(), []
switch.value = 0
while True:
    result, ptr = attempt("cuMemAlloc_v2", 512)
    if result != OK: break
    held.append(ptr)
    if len(held) == 1000: switch.value = 1
assert result == OOM and 1000 <= len(held) < 20000, len(held)
assert free_bytes() == before - 512 * len(held)
for ptr in held: check("cuMemFree_v2", ptr)
assert free_bytes() == before
""")

    def test_a_stopped_process_holds_nobody_up(self):
        """Wherever it was stopped. The driver does nothing here: the simulated one has a lock."""
        worker = self.spawn('start()\nprint("ready", flush=True)\nwhile True: call("cuMemFree_v2", alloc(4096))',
                            TESSERA_SIM_NOOP="1")
        self.assertEqual(worker.stdout.readline(), "ready\n")
        for _ in range(20):
            worker.send_signal(signal.SIGSTOP)
            self.run_body("start()\nfor _ in range(1000): check('cuMemFree_v2', alloc(4096))", TESSERA_SIM_NOOP="1")
            worker.send_signal(signal.SIGCONT)
        worker.kill()
        worker.communicate()

    def test_20000_live_allocations_are_freed_newest_first(self):
        self.run_body(PRELUDE + """
import time
before = free_bytes()
held = [alloc(4096) for _ in range(20_000)]
assert free_bytes() == before - 20_000 * 4096
start = time.process_time()
free = cuda.driver.cuMemFree_v2
for ptr in reversed(held):
    assert free(c_ulonglong(ptr)) == OK
# A list that is walked takes 27 us and more for each; ours and Python's own cost are a few.
assert time.process_time() - start < 0.4, time.process_time() - start
assert free_bytes() == before
""")


if __name__ == "__main__":
    in_child.main()
