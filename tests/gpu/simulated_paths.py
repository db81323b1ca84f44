#!/usr/bin/env python3
"""paths.py against the simulated driver. Usage: simulated_paths.py BUILD_FOLDER"""
import os
import subprocess
import sys
import tempfile

BUILD = os.path.realpath(sys.argv[1])
UUID = "GPU-aaaaaaaa-0000-0000-0000-000000000000"

with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/gpus", "w") as file:
        file.write(f"gpu uuid={UUID} memory_mib=8192 context_mib=100 green_mib=44 sms=32\n")
    env = {**os.environ, "LD_LIBRARY_PATH": f"{BUILD}/lib/sim", "TESSERA_SIM_GPUS": f"{folder}/gpus",
           "TESSERA_SIM_STATE": folder}
    here = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, f"{here}/paths.py", "--program", f"{BUILD}/tests/gpu/paths", "--library",
               f"{BUILD}/lib/libtessera.so", "--limit-mib", "512"]
    sys.exit(subprocess.run(command, env=env).returncode)
