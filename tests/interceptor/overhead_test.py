#!/usr/bin/env python3
"""Contexts and modules are charged with what the device gives for them. Usage: overhead_test.py BUILD_FOLDER"""
import struct

import in_child

CONTEXT_BYTES_AT = 64 + 72

MODULE = """
def module(mib):
    code = (".version 6.0\\n.target sm_52\\n.address_size 64\\n.visible .global .align 4 .b8 data[%d];\\n"
            ".visible .entry nothing()\\n{\\n  ret;\\n}\\n" % (mib * MIB))
    return code.encode()
"""


class Contexts(in_child.Container):
    gpu_options = "context_mib=100"
    limit_mib = 256

    def test_a_context_is_charged_once_and_returned_when_it_ends(self):
        self.run_body("""
start()
assert free_bytes() == LIMIT - 100 * MIB, free_bytes()
use(0)
assert free_bytes() == LIMIT - 100 * MIB, "the same context"
check("cuDevicePrimaryCtxRelease_v2", 0)
assert free_bytes() == LIMIT - 100 * MIB
for create, destroy in [("cuCtxCreate", "cuCtxDestroy"), ("cuCtxCreate_v2", "cuCtxDestroy_v2")]:
    own = get(create, 0, 0)
    assert free_bytes() == LIMIT - 200 * MIB
    assert attempt(create, 0, 0)[0] == OOM, "a third does not fit"
    check(destroy, own)
    assert free_bytes() == LIMIT - 100 * MIB
for create, args in [("cuCtxCreate_v3", (None, 0, 0, 0)), ("cuCtxCreate_v4", (None, 0, 0))]:
    own = get(create, *args)
    assert free_bytes() == LIMIT - 200 * MIB
    check("cuCtxDestroy_v2", own)
check("cuDevicePrimaryCtxReset_v2", 0)
check("cuDevicePrimaryCtxReset_v2", 0)
use(0)
assert free_bytes() == LIMIT - 100 * MIB
""")

    def test_a_context_that_does_not_fit_is_refused_and_leaves_nothing(self):
        limits = f"v1 fixed-share {in_child.GPUS[0]}:99:50"
        for _ in range(2):  # the first is measured, the second known beforehand
            self.run_body("""
check("cuInit", 0)
assert attempt("cuDevicePrimaryCtxRetain", 0)[0] == OOM
assert attempt("cuCtxCreate_v2", 0, 0)[0] == OOM
""", TESSERA_LIMITS=limits)

    def test_every_process_of_a_container_pays_for_its_own(self):
        first = self.spawn('start()\nprint(free_bytes() // MIB, flush=True); sys.stdin.readline()')
        self.assertEqual(first.stdout.readline(), "156\n")
        self.run_body("start()\nassert free_bytes() == LIMIT - 200 * MIB")
        third = self.spawn('start()\nprint(free_bytes() // MIB, flush=True); sys.stdin.readline()')
        self.assertEqual(third.stdout.readline(), "56\n")
        self.run_body('check("cuInit", 0)\nassert attempt("cuDevicePrimaryCtxRetain", 0)[0] == OOM')
        for process in [first, third]:
            process.kill()
            process.communicate()
        self.run_body("start()\nassert free_bytes() == LIMIT - 100 * MIB")

    def test_the_figure_stands_in_the_region(self):
        self.run_body("start()")
        with open(f"{self.folder}/region/region", "rb") as file:
            (figure,) = struct.unpack_from("<Q", file.read(), CONTEXT_BYTES_AT)
        self.assertEqual(figure, 100 << 20)

    def test_what_others_take_meanwhile_is_not_charged(self):
        other = self.spawn('start()\nprint("ready", flush=True)\nwhile True: check("cuMemFree_v2", alloc(700 * MIB))',
                           preload=False)
        self.assertEqual(other.stdout.readline(), "ready\n")
        for _ in range(5):
            self.run_body("start()\nassert free_bytes() == LIMIT - 100 * MIB, free_bytes()")
        other.kill()
        other.communicate()

    def test_wrong_arguments_are_answered_by_the_driver(self):
        body = """
check("cuInit", 0)
c = c_ulonglong()
print([call("cuDevicePrimaryCtxRetain", None, 0), call("cuDevicePrimaryCtxRetain", byref(c), 99),
       call("cuCtxCreate_v2", None, 0, 0), call("cuCtxCreate_v2", byref(c), 0, 99), call("cuCtxCreate_v2", byref(c), 1 << 20, 0),
       call("cuModuleLoadData", None, None), call("cuModuleLoadData", byref(c), b"nonsense"), call("cuModuleUnload", 0),
       call("cuLibraryUnload", 0), call("cuDevicePrimaryCtxRelease_v2", 0)])
"""
        self.assertEqual(self.run_body(body + "start()\nassert free_bytes() == LIMIT - 100 * MIB"),
                         self.run_body(body, preload=False))


class Modules(in_child.Container):
    def test_static_data_is_charged_and_returned(self):
        for load, more in [("cuModuleLoadData", ""), ("cuModuleLoadDataEx", ", 0, None, None"),
                           ("cuModuleLoadFatBinary", "")]:
            with self.subTest(load):
                self.run_body(MODULE + f"""
start()
held = get("{load}", module(40){more})
assert free_bytes() == LIMIT - 40 * MIB, free_bytes()
assert attempt("{load}", module(250){more})[0] == OOM
assert free_bytes() == LIMIT - 40 * MIB
other = get("{load}", module(1){more})
check("cuModuleUnload", held)
assert free_bytes() == LIMIT - MIB
assert call("cuModuleUnload", held) != OK
assert free_bytes() == LIMIT - MIB
check("cuModuleUnload", other)
assert free_bytes() == LIMIT
""")

    def test_it_goes_with_its_context(self):
        self.run_body(MODULE + """
start()
own = get("cuCtxCreate_v2", 0, 0)
get("cuModuleLoadData", module(40))
assert free_bytes() == LIMIT - 40 * MIB
check("cuCtxDestroy_v2", own)
assert free_bytes() == LIMIT
""")

    def test_a_module_that_is_loaded_twice_to_be_sure_is_there_once(self):
        self.run_body(MODULE + """
start()
total = alloc(8 * MIB)
held = get("cuModuleLoadData", module(100))
size, ptr = c_size_t(), c_ulonglong()
check("cuModuleGetGlobal_v2", byref(ptr), byref(size), held, b"data")
assert size.value == 100 * MIB
function = get("cuModuleGetFunction", held, b"nothing")
""")


if __name__ == "__main__":
    in_child.main()
