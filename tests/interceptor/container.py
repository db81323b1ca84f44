"""A container with simulated GPUs for the tests beside this file: folders, limits, and programs that run in it."""
import os
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.realpath(sys.argv.pop(1))
LIBRARY = f"{BUILD}/lib/libtessera.so"
PROGRAMS = f"{BUILD}/tests/interceptor"
MIB = 1 << 20
LIMIT = 64 * MIB
GPUS = ["GPU-aaaaaaaa-0000-0000-0000-00000000000" + str(i) for i in range(3)]
OOM, NOT_PERMITTED = 2, 800

# What the scripts of tests start with: the driver's two libraries, and the answers most of them want.
PRELUDE = """
import ctypes, json, os, sys, threading
from ctypes import byref, c_size_t, c_uint, c_uint64, c_ulonglong, c_void_p
cuda, nvml = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL("libnvidia-ml.so.1")
MIB = 1 << 20
def context(ordinal=0):
    handle = c_void_p()
    assert cuda.cuInit(0) == 0 and cuda.cuDevicePrimaryCtxRetain(byref(handle), ordinal) == 0
    assert cuda.cuCtxSetCurrent(handle) == 0
    return handle
def alloc(size):
    ptr = c_uint64()
    return cuda.cuMemAlloc_v2(byref(ptr), c_size_t(size)), ptr
def info():
    free, total = c_size_t(), c_size_t()
    result = cuda.cuMemGetInfo_v2(byref(free), byref(total))
    return [result, free.value, total.value]
def device(index=0):
    handle = c_void_p()
    assert nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetHandleByIndex_v2(index, byref(handle)) == 0
    return handle
def tell(*values):
    print(json.dumps(values if len(values) > 1 else values[0]), flush=True)
"""


class Container(unittest.TestCase):
    memory_mib = 1024

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name in ["region", "state"]:
            os.makedirs(self.path(name))
        with open(self.path("gpus"), "w") as file:
            file.writelines(f"gpu uuid={uuid} memory_mib={self.memory_mib}\n" for uuid in GPUS)

    def path(self, name):
        return os.path.join(self.folder, name)

    def env(self, preload=LIBRARY, limits=f"v1 fixed-share {GPUS[0]}:64:50", **more):
        env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": f"{BUILD}/lib/sim",
               "TESSERA_SIM_GPUS": self.path("gpus"), "TESSERA_SIM_STATE": self.path("state"),
               "TESSERA_REGION_DIR": self.path("region"), "TESSERA_LIMITS": limits, **more}
        return {**env, "LD_PRELOAD": preload} if preload else env

    def start(self, command, stdin=subprocess.PIPE, **env):
        """A list is a command; a text is a script for Python, after PRELUDE."""
        if isinstance(command, str):
            command = [sys.executable, "-c", PRELUDE + command]
        process = subprocess.Popen(command, env=self.env(**env), text=True, stdin=stdin, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)

        def end():
            process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def run_in(self, command, timeout=60, **env):
        """Its output; it must end well and say nothing on stderr."""
        process = self.start(command, **env)
        output, errors = process.communicate(timeout=timeout)
        self.assertEqual((process.returncode, errors), (0, ""), output)
        return output.strip()

    def region(self):
        with open(self.path("region/region"), "rb") as file:
            return file.read()
