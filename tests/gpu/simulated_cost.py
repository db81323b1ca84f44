#!/usr/bin/env python3
"""cost.py against a simulated driver that does nothing: it runs, and tells every row. Usage: simulated_cost.py BUILD_FOLDER [ROUNDS]"""
import os
import subprocess
import sys
import tempfile

BUILD = os.path.realpath(sys.argv[1])
ROUNDS = sys.argv[2] if len(sys.argv) > 2 else "1"
UUID = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
HERE = os.path.dirname(os.path.abspath(__file__))

with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/gpus", "w") as file:
        file.write(f"gpu uuid={UUID} memory_mib=65536\n")
    env = {**os.environ, "LD_LIBRARY_PATH": f"{BUILD}/lib/sim", "TESSERA_SIM_GPUS": f"{folder}/gpus",
           "TESSERA_SIM_STATE": folder, "TESSERA_SIM_NOOP": "1"}
    out = subprocess.run([sys.executable, f"{HERE}/cost.py", "--program", f"{BUILD}/tests/gpu/cost", "--library",
                          f"{BUILD}/lib/libtessera.so", "--uuid", UUID, "--rounds", ROUNDS], env=env, check=True,
                         capture_output=True, text=True).stdout
    print(out)
    rows = [line.split()[0] for line in out.splitlines()[1:]]
    sys.exit(0 if rows == ["cuLaunchKernel", "cuMemAlloc_up_to_20000", "cuMemFree_newest_of_20000", "cuMemAlloc_and_cuMemFree",
                           "cuMemGetInfo", "cuGetProcAddress_unhooked", "process_until_cuInit"] else 1)
