#!/usr/bin/env python3
"""A process with gates follows its limits file: their threads look at it for everybody. Usage: follow_test.py BUILD_FOLDER"""
import unittest

from container import GPUS, Container
from gate import ALONE

SMALLER = """
def write(mib):
    with open(os.environ["TESSERA_LIMITS_FILE"], "w") as file:
        file.write(TEXT_OF % (mib, mib))
def follows(mib):
    write(mib)
    end = time.monotonic() + 4
    while info()[2] != mib * MIB and time.monotonic() < end: time.sleep(0.02)
    return info()[2] == mib * MIB and alloc((mib + 1) * MIB)[0] == 2
"""


class Follow(Container):
    def run_with_file(self, cores, script):
        text = "v1 fixed-share " + " ".join(f"{uuid}:%d:{cores}" for uuid in GPUS[:2])
        with open(self.path("limits"), "w") as file:
            file.write(text % (1000, 1000))
        self.run_in(ALONE + SMALLER.replace("TEXT_OF", repr(text)) + script + "\nos._exit(0)", timeout=30, limits="",
                    TESSERA_LIMITS_FILE=self.path("limits"))

    def test_after_launches_and_without_any_more(self):
        for cores in (0, 50):
            with self.subTest(cores):
                self.run_with_file(cores, """
assert launch(short) == 0
for mib in (500, 300): assert follows(mib), info()
time.sleep(1.5)
assert follows(200), info()""")

    def test_while_launches_go_through(self):
        for cores in (0, 50):
            with self.subTest(cores):
                self.run_with_file(cores, """
def work():
    cuda.cuCtxSetCurrent(current)
    while True: launch(long, 1000000)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
for mib in (500, 300): assert follows(mib), info()""")

    def test_where_two_threads_rely_on_each_other(self):
        self.run_with_file(0, """
assert launch(short) == 0
context(1)
_, other = kernel()
assert launch(other) == 0
time.sleep(1.5)
for mib in (500, 300): assert follows(mib), info()""")

    def test_while_the_thread_waits_for_a_kernel(self):
        self.run_with_file(50, """
assert launch(short) == 0 and launch(long, 10_000_000_000) == 0
time.sleep(0.5)
for mib in (500, 300): assert follows(mib), info()""")

    def test_a_child_has_no_thread_that_looks(self):
        self.run_with_file(0, """
assert launch(short) == 0
time.sleep(1.5)
if (pid := os.fork()) == 0:
    class Memory(ctypes.Structure): _fields_ = [(name, c_ulonglong) for name in ("total", "free", "used")]
    def total():
        memory = Memory()
        assert nvml.nvmlDeviceGetMemoryInfo(device(), byref(memory)) == 0
        return memory.total
    assert total() == 1000 * MIB, total()
    write(400)
    end = time.monotonic() + 4
    while total() != 400 * MIB and time.monotonic() < end: time.sleep(0.02)
    os._exit(0 if total() == 400 * MIB else 1)
assert os.waitpid(pid, 0)[1] == 0""")


if __name__ == "__main__":
    unittest.main(verbosity=2)
