#!/usr/bin/env python3
"""What the driver does not give back when a green context is destroyed. Usage: green_left_test.py BUILD_FOLDER"""
import os

import in_child


class Left(in_child.Container):
    gpu_options = "context_mib=100 green_mib=44 green_left_mib=4 sms=132"
    limit_mib = 1024

    def taken(self):
        """MiB of the first GPU, by somebody whom nothing limits."""
        out = self.run_body('start()\nprint((cuda.info()[1] - free_bytes()) // MIB)', preload=False)
        return int(out) - 100

    def test_it_stays_charged_until_the_primary_context_ends(self):
        for end in ["Release_v2", "Reset_v2"]:
            with self.subTest(end):
                process = self.spawn(f"""
start()
base = free_bytes()
for i in range(1, 6):
    handle, _ = green(8)
    assert free_bytes() == base - (4 * i + 40) * MIB, (i, (base - free_bytes()) / MIB)
    check("cuGreenCtxDestroy", handle)
    assert free_bytes() == base - 4 * i * MIB, (i, (base - free_bytes()) / MIB)
    assert call("cuGreenCtxDestroy", handle) != OK, "twice"
    assert free_bytes() == base - 4 * i * MIB
check("cuDevicePrimaryCtxRetain", byref(c_ulonglong()), 0)
check("cuDevicePrimaryCtxRelease_v2", 0)
assert free_bytes() == base - 20 * MIB, "somebody holds it still"
print((LIMIT - free_bytes()) // MIB, flush=True)
sys.stdin.readline()
check("cuDevicePrimaryCtx{end}", 0)
use(0)
assert free_bytes() == base, "gone with it"
handle, _ = green(8)
check("cuGreenCtxDestroy", handle)
assert free_bytes() == base - 4 * MIB, "and the next one has its own"
""")
                charged = process.stdout.readline()
                self.assertEqual(charged, f"{self.taken()}\n", "what the device has less")
                output = process.communicate("\n")
                self.assertEqual((process.returncode, output[1]), (0, ""))

    def test_nothing_stays_if_the_primary_context_ends_with_it(self):
        self.run_body("""
check("cuInit", 0)
for _ in range(8):
    first, _ = green(8)
    second, _ = green(8)
    check("cuGreenCtxDestroy", first)
    check("cuGreenCtxDestroy", second)
use(0)
assert free_bytes() == LIMIT - 100 * MIB, (LIMIT - free_bytes()) / MIB
kept, _ = green(8)
gone, _ = green(8)
check("cuGreenCtxDestroy", gone)
check("cuDevicePrimaryCtxReset_v2", 0)
check("cuGreenCtxDestroy", kept)
use(0)
assert free_bytes() == LIMIT - 100 * MIB, "one that outlives a reset"
""")

    def test_it_counts_for_the_limit(self):
        """Otherwise they would take the whole device, one after the other."""
        process = self.spawn("""
start()
made = 0
while True:
    result, handle = attempt("cuGreenCtxCreate", sm_desc(8), 0, 1)
    if result == OOM: break
    assert result == OK
    check("cuGreenCtxDestroy", handle)
    made += 1
    assert made < 500, "never refused"
assert made == (LIMIT // MIB - 100 - 44) // 4 + 1, made
for _ in range(50):
    assert attempt("cuGreenCtxCreate", sm_desc(8), 0, 1)[0] == OOM
print((LIMIT - free_bytes()) // MIB, flush=True)
sys.stdin.readline()
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == LIMIT - 100 * MIB
""")
        self.assertEqual(process.stdout.readline(), f"{100 + 4 * 221}\n")
        self.assertEqual(self.taken(), 100 + 4 * 221, "refusals take nothing")
        output = process.communicate("\n")
        self.assertEqual((process.returncode, output[1]), (0, ""))

    def test_one_that_was_made_and_refused_leaves_it_too(self):
        """How much one takes is known from the first on: the next are not made."""
        limits = f"v1 fixed-share {in_child.GPUS[0]}:120:50"
        process = self.spawn("""
start()
for _ in range(50):
    assert attempt("cuGreenCtxCreate", sm_desc(8), 0, 1)[0] == OOM
print(120 - free_bytes() // MIB, flush=True)
sys.stdin.readline()
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == 20 * MIB
""", TESSERA_LIMITS=limits)
        self.assertEqual(process.stdout.readline(), "104\n")
        self.assertEqual(self.taken(), 104)
        output = process.communicate("\n")
        self.assertEqual((process.returncode, output[1]), (0, ""))

    def test_limits_of_the_context_are_beside_it(self):
        self.run_body("""
start()
base = free_bytes()
check("cuCtxSetLimit", 1, 33 * MIB)
handle, _ = green(8)
check("cuGreenCtxDestroy", handle)
assert free_bytes() == base - 36 * MIB
check("cuCtxSetLimit", 1, MIB)
assert free_bytes() == base - 4 * MIB, "only what the limit took"
check("cuCtxSetLimit", 1, 9 * MIB)
handle, _ = green(8)
check("cuGreenCtxDestroy", handle)
assert free_bytes() == base - 16 * MIB
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == base
""")

    def test_what_the_driver_uses_again_is_charged_once(self):
        with open(f"{self.folder}/gpus") as file:
            gpus = file.read()
        with open(f"{self.folder}/gpus", "w") as file:
            file.write(gpus.replace("green_left_mib=4", "green_left_mib=4 green_reuse=1"))
        self.run_body("""
start()
base = free_bytes()
for _ in range(10):
    handle, _ = green(8)
    assert free_bytes() == base - 44 * MIB, (base - free_bytes()) / MIB
    check("cuGreenCtxDestroy", handle)
    assert free_bytes() == base - 4 * MIB, (base - free_bytes()) / MIB
pair = [green(8)[0] for _ in range(2)]
assert free_bytes() == base - 88 * MIB
for handle in pair: check("cuGreenCtxDestroy", handle)
assert free_bytes() == base - 8 * MIB
pair = [green(8)[0] for _ in range(2)]
alloc(free_bytes() - 38 * MIB)  # the first took 36
assert attempt("cuGreenCtxCreate", sm_desc(8), 0, 1)[0] == OOM
assert free_bytes() == 34 * MIB, "it took 44, and left 4"
""")

    def test_a_refusal_of_the_driver_leaves_all_as_it_was(self):
        libraries = f"{self.build}/lib/libtessera.so:{self.build}/tests/interceptor/librefusing_driver.so"
        self.run_body("""
start()
base = free_bytes()
switch = c_int.in_dll(ctypes.CDLL(None), "refuses")
first, _ = green(8)
check("cuGreenCtxDestroy", first)
second, _ = green(8)
switch.value = 1
for _ in range(3):
    assert call("cuGreenCtxDestroy", second) == 999
    assert free_bytes() == base - 48 * MIB
switch.value = 0
check("cuGreenCtxDestroy", second)
assert free_bytes() == base - 8 * MIB
check("cuDevicePrimaryCtxRelease_v2", 0)
use(0)
assert free_bytes() == base
""", preload=False, LD_PRELOAD=libraries)

    def test_where_nvml_does_not_list_the_process_nothing_stays(self):
        """The figure of the whole device is that of others too."""
        libraries = f"{self.build}/lib/libtessera.so:{self.build}/tests/interceptor/libunlisted.so"
        self.run_body("""
start()
base = free_bytes()
for _ in range(3):
    handle, _ = green(8)
    assert free_bytes() == base - 44 * MIB
    check("cuGreenCtxDestroy", handle)
    assert free_bytes() == base
""", preload=False, LD_PRELOAD=libraries)

    def test_without_nvml_nothing_is_charged_and_nothing_stays(self):
        os.makedirs(f"{self.folder}/driver")
        os.symlink(f"{self.build}/lib/sim/libcuda.so.1", f"{self.folder}/driver/libcuda.so.1")
        self.run_body("""
start()
for _ in range(3):
    handle, _ = green(8)
    check("cuGreenCtxDestroy", handle)
    assert free_bytes() == LIMIT
""", LD_LIBRARY_PATH=f"{self.folder}/driver")

    def test_a_forked_child_changes_nothing_of_its_parents(self):
        self.run_body("""
start()
base = free_bytes()
first, _ = green(8)
second, _ = green(8)
check("cuGreenCtxDestroy", first)
pid = os.fork()
if pid == 0:
    call("cuGreenCtxDestroy", first), call("cuGreenCtxDestroy", second), call("cuDevicePrimaryCtxReset_v2", 0)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert free_bytes() == base - 48 * MIB
check("cuGreenCtxDestroy", second)
assert free_bytes() == base - 8 * MIB
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == base
""")


class Together(in_child.Container):
    gpu_options = "context_mib=100 green_mib=44 green_left_mib=4 sms=132"
    limit_mib = 1024
    PRELUDE = """
import threading
start()
base = free_bytes()
def churn(count):
    use(0)
    for _ in range(count):
        handle, _ = green(8)
        check("cuGreenCtxDestroy", handle)
def both(*works):
    failed = []
    def run(work):
        try: work()
        except BaseException as error: failed.append(error)
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not failed, failed
"""

    def test_two_threads_leave_what_two_leave(self):
        self.run_body(self.PRELUDE + """
for _ in range(5):
    both(*[lambda: churn(10)] * 2)
    assert free_bytes() == base - 80 * MIB, (base - free_bytes()) / MIB
    held = [green(8)[0] for _ in range(6)]
    both(*[lambda handle=handle: call("cuGreenCtxDestroy", handle) for handle in held])
    assert free_bytes() == base - 104 * MIB, (base - free_bytes()) / MIB
    check("cuDevicePrimaryCtxReset_v2", 0)
    use(0)
    assert free_bytes() == base
""")

    def test_memory_that_is_taken_or_freed_beside_it_keeps_its_own_account(self):
        self.run_body(self.PRELUDE + """
def take(held):
    use(0)
    for _ in range(200): held.append(alloc(MIB))
def free(held):
    use(0)
    for ptr in held: check("cuMemFree_v2", ptr)
for _ in range(3):
    held, stays = [], []
    both(lambda: churn(10), lambda: take(held))
    stays.append(base - free_bytes() - 200 * MIB)
    both(lambda: churn(10), lambda: free(held))
    stays.append(base - free_bytes() - stays[0])
    # A call that is under way while NVML is asked may be taken for the green context's.
    assert all(0 <= one <= 10 * 45 * MIB for one in stays), stays
    check("cuDevicePrimaryCtxReset_v2", 0)
    use(0)
    assert free_bytes() == base, "nothing is lost"
""")

    def test_the_primary_context_may_end_beside_it(self):
        self.run_body(self.PRELUDE + """
def hold():
    for _ in range(100):
        check("cuDevicePrimaryCtxRetain", byref(c_ulonglong()), 0)
        check("cuDevicePrimaryCtxRelease_v2", 0)
check("cuDevicePrimaryCtxRelease_v2", 0)
def churn_alone():
    for _ in range(20):
        handle, _ = green(8)
        check("cuGreenCtxDestroy", handle)
for _ in range(20):
    both(hold, churn_alone, hold)
    flags, active = c_uint(), c_int()
    check("cuDevicePrimaryCtxGetState", 0, byref(flags), byref(active))
    assert active.value == 0
    use(0)
    assert free_bytes() == base, (base - free_bytes()) / MIB
    check("cuDevicePrimaryCtxRelease_v2", 0)
""")


if __name__ == "__main__":
    in_child.main()
