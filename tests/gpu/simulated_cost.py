#!/usr/bin/env python3
"""cost.py against a simulated driver that does nothing: every row is there, and within bounds; with bounds of nothing it fails.
Usage: simulated_cost.py BUILD_FOLDER [ROUNDS STARTS [COLD_KIB]]; with COLD_KIB it measures that alone and judges nothing"""
import os
import subprocess
import sys
import tempfile

BUILD = os.path.realpath(sys.argv[1])
ROUNDS, STARTS = sys.argv[2:4] if len(sys.argv) > 3 else ("3", "20")
COLD_KIB = sys.argv[4] if len(sys.argv) > 4 else None
UUID = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
HERE = os.path.dirname(os.path.abspath(__file__))
# Beside a neighbour on the same core everything takes half as long again.
BOUNDS = "2"
ROWS = ["cuLaunchKernel", "cuMemAlloc_and_cuMemFree", "cuMemAlloc_up_to_20000", "cuMemFree_newest_of_20000", "cuMemGetInfo",
        "cuGetProcAddress_unhooked", "cuCtxGetCurrent_not_hooked", "until_main", "until_driver_open", "until_first_call", "until_cuInit"]


def cost(env, rounds, starts, *more):
    run = subprocess.run([sys.executable, f"{HERE}/cost.py", "--program", f"{BUILD}/tests/gpu/cost", "--library",
                          f"{BUILD}/lib/libtessera.so", "--uuid", UUID, "--rounds", rounds, "--starts", starts, *more],
                         env=env, stdout=subprocess.PIPE, text=True)
    return run.returncode, run.stdout


with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/gpus", "w") as file:
        file.write(f"gpu uuid={UUID} memory_mib=65536\n")
    env = {**os.environ, "LD_LIBRARY_PATH": f"{BUILD}/lib/sim", "TESSERA_SIM_GPUS": f"{folder}/gpus",
           "TESSERA_SIM_STATE": folder, "TESSERA_SIM_NOOP": "1"}
    if COLD_KIB is not None:
        status, out = cost(env, ROUNDS, STARTS, "--cold", COLD_KIB)
        print(out)
        sys.exit(status)
    status, out = cost(env, ROUNDS, STARTS, "--bounds", BOUNDS)
    print(out)
    told = [line.split()[0] for line in out.splitlines() if line.split()[:1] and line.split()[0] in ROWS]
    refused, _ = cost(env, "1", "2", "--bounds", "0.01")
    print(f"rows as expected: {told == ROWS}; a hundredth of the bounds is refused: {refused == 1}")
    sys.exit(0 if status == 0 and told == ROWS and refused == 1 else 1)
