"""A container whose launches go through a gate: what the tests of it share. The GPU is simulated, time is real: bounds leave
room for a machine that has other things to do."""
import re
import struct
import time

from container import GPUS, PROGRAMS, Container
from steady import Steady

PACE_AT = 64 + 80
DEMAND_AT, GRANT_AT, LANES_AT = 64 + 128, 64 + 192, 6208
OPEN_FOR_ALL, OPEN_IN_ROUNDS = (1 << 64) - 1, (1 << 64) - 2


class Gate(Steady, Container):
    def tenant(self, percent, *args, policy="fixed-share", seconds=2, kernel_us=500, gpus=1, **env):
        env.setdefault("limits", f"v1 {policy} " + " ".join(f"{uuid}:64:{percent}" for uuid in GPUS[:gpus]))
        return self.start([f"{PROGRAMS}/share", "--seconds", str(seconds), "--kernel-us", str(kernel_us),
                           "--kernel-ns", str(kernel_us * 1000), *map(str, args)], **env)

    def share(self, process):
        output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, errors), (0, ""), output)
        return float(re.match(r"share=([\d.]+)", output).group(1))

    def pace(self, device=0):
        """(used seconds, throttled seconds)"""
        return [ns / 1e9 for ns in struct.unpack_from("<2Q", self.region(), PACE_AT + 256 * device + 16)]

    def assertHeld(self, share, percent, below=8):
        self.assertLess(share, percent + 3)
        self.assertGreater(share, percent - below)

    def grant(self, until, heartbeat=None, check=0):
        """Writes what the agent would write. Times in seconds of CLOCK_MONOTONIC; 0: closed."""
        words = [until if until >= OPEN_IN_ROUNDS else int(until * 1e9), 0,
                 int((time.monotonic() if heartbeat is None else heartbeat) * 1e9)]
        check += (words[0] ^ 0x746e617247205354) + 3 * words[1] + 5 * words[2]
        with open(self.path("region/region"), "r+b", buffering=0) as file:
            file.seek(GRANT_AT)
            file.write(struct.pack("<4Q", *words, check % (1 << 64)))

    def launches(self):
        """Launches of the first process's first GPU."""
        own, _, *threads = struct.unpack_from("<6Q", self.region(), LANES_AT + 64)
        return own + sum(threads)

    def demand(self):
        """(processes that want the GPU, processes that run)"""
        words = struct.unpack_from("<4Q", self.region(), DEMAND_AT)
        return [sum(word.bit_count() for word in pair) for pair in (words[:2], words[2:])]

    def grant_until(self, end, words):
        """Gives the grants of `words()` until that time."""
        while time.monotonic() < end:
            self.grant(words())
            time.sleep(0.005)

    def share_while(self, seconds, until, kernel_us=500):
        """Of the GPU, by a tenant that runs already, while these grants are given."""
        first, at = self.launches(), time.monotonic()
        self.grant_until(at + seconds, until)
        return 100 * (self.launches() - first) * kernel_us * 1e-6 / (time.monotonic() - at)


MADE = """assert cuda.cuCtxCreate_v2(byref(other), 0, 0) == cuda.cuCtxSetCurrent(current) == launch(short) == 0
"""
ALONE = """
import time
context()
TEXT = b'''.version 7.0
.target sm_70
.address_size 64
.visible .entry spin(.param .u64 ns) { ret; }
.visible .entry noop() { ret; }
'''
def kernel():
    module, long, short = c_void_p(), c_void_p(), c_void_p()
    assert cuda.cuModuleLoadData(byref(module), TEXT) == 0
    assert cuda.cuModuleGetFunction(byref(long), module, b"spin") == 0
    assert cuda.cuModuleGetFunction(byref(short), module, b"noop") == 0
    return long, short
long, short = kernel()
current = c_void_p()
cuda.cuCtxGetCurrent(byref(current))
mine = []
def launch(function, ns=0):
    value = c_uint64(ns)
    params = (c_void_p * 1)(ctypes.cast(byref(value), c_void_p))
    return cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, params if ns else None, None)
"""
LAUNCHES = ALONE + """
def work():
    mine.append(str(threading.get_native_id()))
    cuda.cuCtxSetCurrent(current)
    while True: launch(long, 20000000)
for _ in range(3): threading.Thread(target=work, daemon=True).start()
time.sleep(0.7)
"""
