"""Test cases whose bodies run in a process of their own, under libtessera.so and the simulated driver."""
import os
import struct
import subprocess
import sys
import tempfile
import unittest

GPUS = ["GPU-aaaaaaaa-0000-0000-0000-00000000000" + str(i) for i in range(3)]
LANES_AT, SLOTS, DEVICES, LANE_SIZE = 6208, 128, 16, 128  # interceptor/region/README.md


class Container(unittest.TestCase):
    """A folder for limits, region and simulated GPUs; environment of its processes."""
    gpu_options = ""
    driver_line = ""
    limit_mib = 256

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name in ["region", "state"]:
            os.makedirs(f"{self.folder}/{name}")
        with open(f"{self.folder}/gpus", "w") as file:
            file.write(self.driver_line)
            for uuid in GPUS:
                file.write(f"gpu uuid={uuid} memory_mib=4096 {self.gpu_options}\n")
        self.env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": f"{self.build}/lib/sim", "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONPATH": os.path.dirname(os.path.abspath(__file__)),
                    "TESSERA_SIM_GPUS": f"{self.folder}/gpus", "TESSERA_SIM_STATE": f"{self.folder}/state",
                    "TESSERA_REGION_DIR": f"{self.folder}/region",
                    "TESSERA_LIMITS": f"v1 fixed-share {GPUS[0]}:{self.limit_mib}:50 {GPUS[1]}:{self.limit_mib // 2}:50"}

    def spawn(self, body, preload=True, **env):
        env = {**self.env, **env}
        if preload:
            env["LD_PRELOAD"] = f"{self.build}/lib/libtessera.so"
        limit = f"LIMIT = {self.limit_mib} * cuda.MIB\n"
        code = "import cuda, ctypes, os, sys\nfrom cuda import *\n" + limit + body
        return subprocess.Popen([sys.executable, "-c", code], env=env, text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def launches(self):
        """Of all processes on all GPUs, as the region tells."""
        with open(f"{self.folder}/region/region", "rb") as file:
            file.seek(LANES_AT)
            lanes = file.read(SLOTS * DEVICES * LANE_SIZE)
        return sum(struct.unpack_from("<Q", lanes, at + 64)[0] + sum(struct.unpack_from("<4Q", lanes, at + 80))
                   for at in range(0, len(lanes), LANE_SIZE))

    def run_body(self, body, preload=True, **env):
        """Ends with what the body printed; fails with its traceback."""
        process = self.spawn(body, preload, **env)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, f"{err}\n{out}")
        return out


def main(*cases):
    Container.build = os.path.realpath(sys.argv.pop(1))
    unittest.main()
