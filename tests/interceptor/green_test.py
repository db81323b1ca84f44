#!/usr/bin/env python3
"""Green contexts, limits of contexts and contexts that are counted. Usage: green_test.py BUILD_FOLDER"""

import in_child



class Green(in_child.Container):
    gpu_options = "context_mib=100 green_mib=44 sms=132"

    def test_it_is_charged_with_its_primary_context_and_returned_with_it(self):
        self.run_body("""
check("cuInit", 0)
first, shown = green(32)
check("cuCtxSetCurrent", shown)
assert free_bytes() == LIMIT - 144 * MIB, free_bytes()
second, _ = green(32)
assert free_bytes() == LIMIT - 188 * MIB, "the primary context is there already"
check("cuGreenCtxDestroy", first)
context = use(0)
assert free_bytes() == LIMIT - 144 * MIB
check("cuGreenCtxDestroy", second)
assert free_bytes() == LIMIT - 100 * MIB
assert call("cuGreenCtxDestroy", second) != OK
assert free_bytes() == LIMIT - 100 * MIB
check("cuDevicePrimaryCtxRelease_v2", 0)
third, shown = green(8)
check("cuGreenCtxDestroy", third)
use(0)
assert free_bytes() == LIMIT - 100 * MIB, "it held the primary context, which ended with it"
""")

    def test_what_does_not_fit_is_refused_and_leaves_nothing(self):
        # Neither the primary context; the primary context alone; one of two.
        for limit, fits in [(99, 0), (143, 0), (187, 1)]:
            self.run_body(f"""
check("cuInit", 0)
desc = sm_desc(8)
made = [attempt("cuGreenCtxCreate", desc, 0, 1) for _ in range(2)]
assert [result for result, _ in made] == [OK] * {fits} + [OOM] * (2 - {fits}), made
for _, one in made[:{fits}]:
    check("cuGreenCtxDestroy", one)
flags, active = c_uint(), c_int()
check("cuDevicePrimaryCtxGetState", 0, byref(flags), byref(active))
assert active.value == 0, "nobody holds it"
""", TESSERA_LIMITS=f"v1 fixed-share {in_child.GPUS[0]}:{limit}:50 {in_child.GPUS[1]}:128:50")
            self.run_body("start()\nassert free_bytes() == LIMIT - 100 * MIB")

    def test_memory_that_was_allocated_in_it_is_the_primary_contexts(self):
        self.run_body("""
context = start()
handle, shown = green(8)
check("cuCtxSetCurrent", shown)
before = free_bytes()
ptr, array = alloc(4 * MIB), get("cuModuleLoadData", cuda.PTX)
own = get("cuStreamCreate", 1)
block = get("cuMemAllocAsync", MIB, own)
assert free_bytes() == before - 4 * MIB - 32 * MIB
check("cuStreamSynchronize", own)
check("cuStreamDestroy_v2", own)
check("cuCtxSetCurrent", context)
check("cuGreenCtxDestroy", handle)
assert free_bytes() == LIMIT - 136 * MIB
check("cuMemFree_v2", ptr)
check("cuMemFree_v2", block)
check("cuCtxSynchronize")
assert free_bytes() == LIMIT - 100 * MIB
ptr = alloc(4 * MIB)
handle, shown = green(8)
check("cuCtxSetCurrent", shown)
alloc(8 * MIB)
check("cuDevicePrimaryCtxRelease_v2", 0)
check("cuGreenCtxDestroy", handle)
use(0)
assert free_bytes() == LIMIT - 100 * MIB, "all of it has ended with the last holder"
""")

    def test_it_is_charged_to_its_own_gpu(self):
        self.run_body("""
start()
alone = free_bytes()
handle, shown = green(8, device=1)
assert free_bytes() == alone
check("cuCtxSetCurrent", shown)
assert free_bytes() == LIMIT // 2 - 144 * MIB if LIMIT // 2 > 144 * MIB else True
stream = get("cuGreenCtxStreamCreate", handle, 1, 0)
check("cuCtxSetCurrent", use(0))
block = get("cuMemAllocAsync", MIB, stream)
assert free_bytes() == alone, "a stream of another GPU's green context"
check("cuCtxSetCurrent", shown)
assert free_bytes() == 400 * MIB - 144 * MIB - 32 * MIB
assert attempt("cuGreenCtxCreate", sm_desc(8, 2), 2, 1)[0] == OK, "a GPU without a limit may be asked"
""", TESSERA_LIMITS=f"v1 fixed-share {in_child.GPUS[0]}:256:50 {in_child.GPUS[1]}:400:50")

    def test_launches_in_it_are_counted(self):
        self.run_body("""
start()
handle, shown = green(8)
module = get("cuModuleLoadData", cuda.PTX)
noop = get("cuModuleGetFunction", module, b"noop")
stream = get("cuGreenCtxStreamCreate", handle, 1, 0)
def launch(stream):
    check("cuLaunchKernel", noop, 1, 1, 1, 1, 1, 1, 0, stream, None, None)
launch(stream)
check("cuCtxSetCurrent", shown)
launch(0); launch(stream)
check("cuCtxSynchronize")
""")
        self.assertEqual(self.launches(), 3)

    def test_legacy_launches_are_counted(self):
        self.run_body("""
start()
module = get("cuModuleLoadData", cuda.PTX)
noop, spin = (get("cuModuleGetFunction", module, name) for name in (b"noop", b"spin"))
check("cuFuncSetBlockShape", spin, 32, 1, 1)
check("cuParamSetv", spin, 0, byref(c_ulonglong(1000)), 8)
check("cuParamSetSize", spin, 8)
stream = get("cuStreamCreate", 1)
check("cuLaunch", spin); check("cuLaunchGrid", spin, 2, 2); check("cuLaunchGridAsync", spin, 2, 2, stream)
class One(ctypes.Structure):
    _fields_ = [("function", c_ulonglong), ("shape", c_uint * 7), ("stream", c_ulonglong), ("params", c_void_p)]
both = (One * 2)(*[One(noop, (c_uint * 7)(1, 1, 1, 1, 1, 1, 0), stream, None)] * 2)
check("cuLaunchCooperativeKernelMultiDevice", both, 2, 0)
check("cuCtxSynchronize")
print(call("cuLaunch", 7), call("cuLaunchGrid", spin, 0, 1), call("cuLaunchCooperativeKernelMultiDevice", None, 0, 0))
""")
        self.assertEqual(self.launches(), 5 + 3, "what the driver refuses is counted too")

    def test_wrong_arguments_are_answered_by_the_driver(self):
        body = """
start()
check("cuGreenCtxDestroy", green(8)[0])  # what one takes is known from here on
g = c_ulonglong()
print([call("cuGreenCtxCreate", None, sm_desc(8), 0, 1), call("cuGreenCtxCreate", byref(g), 0, 0, 1),
       call("cuGreenCtxCreate", byref(g), sm_desc(8), 0, 0), call("cuGreenCtxCreate", byref(g), sm_desc(8), 99, 1),
       call("cuGreenCtxDestroy", 0), call("cuGreenCtxDestroy", 77), call("cuCtxFromGreenCtx", byref(g), 77)])
"""
        self.assertEqual(self.run_body(body + "assert free_bytes() == LIMIT - 100 * MIB"),
                         self.run_body(body, preload=False))

    def test_a_forked_child_starts_anew(self):
        self.run_body("""
import os
pid = os.fork()
if pid == 0:
    start()
    handle, shown = green(8)
    check("cuGreenCtxDestroy", handle)
    os._exit(0 if free_bytes() == LIMIT - 100 * MIB else 1)
assert os.waitpid(pid, 0)[1] == 0
start()
assert free_bytes() == LIMIT - 100 * MIB
""")


class Limits(in_child.Container):
    gpu_options = "context_mib=20 sms=4"

    def test_what_a_limit_takes_is_charged_returned_and_refused(self):
        # 4 multiprocessors of 2048 threads: a KiB of stack is 8 MiB.
        for limit, grow, cost, too_much in [(0, 9 << 10, 64, 200 << 10), (1, 65 << 20, 64, 300 << 20),
                                            (2, 40 << 20, 32, 400 << 20)]:
            self.run_body(f"""
start()
base = free_bytes()
old = c_size_t()
check("cuCtxGetLimit", byref(old), {limit})
check("cuCtxSetLimit", {limit}, {grow})
assert free_bytes() == base - {cost} * MIB, (base - free_bytes()) / MIB
check("cuCtxSetLimit", {limit}, {grow})
assert free_bytes() == base - {cost} * MIB
assert call("cuCtxSetLimit", {limit}, {too_much}) == OOM
assert free_bytes() == base - {cost} * MIB
now = c_size_t()
check("cuCtxGetLimit", byref(now), {limit})
assert now.value == {grow}, "restored"
check("cuCtxSetLimit", {limit}, old.value)
assert free_bytes() == base
check("cuCtxSetLimit", {limit}, {grow})
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == base, "it goes with its context"
""")

    def test_contexts_have_their_own(self):
        self.run_body("""
start()
base = free_bytes()
own = get("cuCtxCreate_v2", 0, 0)
check("cuCtxSetLimit", 1, 33 << 20)
assert free_bytes() == base - 52 * MIB
use(0)
check("cuCtxSetLimit", 1, 9 << 20)
assert free_bytes() == base - 60 * MIB
check("cuCtxDestroy_v2", own)
assert free_bytes() == base - 8 * MIB
""")

    def test_nothing_of_others_is_charged(self):
        other = self.spawn('start()\nprint("ready", flush=True)\nwhile True: check("cuMemFree_v2", alloc(700 * MIB))',
                           preload=False)
        self.assertEqual(other.stdout.readline(), "ready\n")
        self.run_body("""
start()
base = free_bytes()
for value in [9, 17, 33, 9, 65]:
    check("cuCtxSetLimit", 1, value << 20)
    assert free_bytes() == base - (value - 1) * MIB, (value, (base - free_bytes()) / MIB)
""")
        other.kill()
        other.communicate()

    def test_wrong_arguments_are_answered_by_the_driver(self):
        body = """
print(call("cuCtxSetLimit", 0, 2048))
start()
print([call("cuCtxSetLimit", limit, 2048) for limit in (0, 1, 2, 3, 12, 99)])
"""
        self.assertEqual(self.run_body(body), self.run_body(body, preload=False))


class Counted(in_child.Container):
    gpu_options = "context_mib=20"

    def test_a_context_ends_with_its_last_detach(self):
        self.run_body("""
context = get("cuCtxCreate_v2", 0, 0) if call("cuInit", 0) == OK else None
base = free_bytes()
assert base == LIMIT - 20 * MIB
ptr = alloc(8 * MIB)
assert get("cuCtxAttach", 0) == context
check("cuCtxDetach", context)
assert free_bytes() == base - 8 * MIB, "one is left"
check("cuCtxDetach", context)
use(0)
assert free_bytes() == base, "as many as before: its memory and its charge have gone, the primary one came"
assert call("cuCtxDetach", context) != OK
assert call("cuMemFree_v2", ptr) != OK
own = get("cuCtxCreate_v2", 0, 0)
check("cuCtxAttach", byref(c_ulonglong()), 0)
check("cuCtxDestroy_v2", own)
assert free_bytes() == base, "destroyed whoever has attached"
""")


if __name__ == "__main__":
    in_child.main()
