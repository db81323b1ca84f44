#!/usr/bin/env python3
"""What tests/gpu/run runs, against the simulated driver. Usage: simulated.py BUILD_FOLDER paths|oversubscribe [ARGUMENT...]"""
import os
import subprocess
import sys
import tempfile

BUILD, NAME, MORE = os.path.realpath(sys.argv[1]), sys.argv[2], sys.argv[3:]
UUID = "GPU-aaaaaaaa-0000-0000-0000-000000000000"

with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/gpus", "w") as file:
        file.write(f"gpu uuid={UUID} memory_mib=8192 context_mib=100 green_mib=12 green_left_mib=8 sms=32\n")
    env = {**os.environ, "LD_LIBRARY_PATH": f"{BUILD}/lib/sim", "TESSERA_SIM_GPUS": f"{folder}/gpus",
           "TESSERA_SIM_STATE": folder}
    here = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, f"{here}/{NAME}.py", "--program", f"{BUILD}/tests/gpu/{NAME}", "--library",
               f"{BUILD}/lib/libtessera.so", *MORE]
    sys.exit(subprocess.run(command, env=env).returncode)
