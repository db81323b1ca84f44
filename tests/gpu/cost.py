#!/usr/bin/env python3
"""What the library adds to calls: cost.cc bare and limited in turn, medians over rounds of the difference in a round.
--program cost --library libtessera.so --uuid GPU-... [--rounds 9] [--limit-mib 4096]"""
import argparse
import os
import statistics
import subprocess
import tempfile

# As promised in interceptor/README.md, nanoseconds.
AT_MOST = {"cuLaunchKernel": 5, "cuMemAlloc_up_to_20000": 150, "cuMemFree_newest_of_20000": 150, "cuMemGetInfo": 100,
           "cuGetProcAddress_unhooked": 50, "process_until_cuInit": 500_000}


def run(args, limited):
    """row -> nanoseconds"""
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ)
        if limited:
            env |= {"LD_PRELOAD": args.library, "TESSERA_REGION_DIR": folder, "TESSERA_LIMITS_FILE": f"{folder}/limits"}
            with open(f"{folder}/limits", "w") as file:
                file.write(f"v1 fixed-share {args.uuid}:{args.limit_mib}:100")
        rows = {}
        for more in ([], ["--only-init"]):
            out = subprocess.run([args.program, *more], env=env, check=True, capture_output=True, text=True).stdout
            rows |= {name: float(value) for name, value in map(str.split, out.splitlines())}
        return rows


def main():
    parser = argparse.ArgumentParser()
    for name in ["program", "library", "uuid"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--limit-mib", type=int, default=4096)
    args = parser.parse_args()
    rounds = [(run(args, False), run(args, True)) for _ in range(args.rounds)]
    print(f"{'ns':28} {'bare':>12} {'limited':>12} {'added':>10} {'at most':>8}   spread of 'added' over {args.rounds} rounds")
    for row in rounds[0][0]:
        bare, limited = (statistics.median(pair[i][row] for pair in rounds) for i in (0, 1))
        added = sorted(pair[1][row] - pair[0][row] for pair in rounds)
        print(f"{row:28} {bare:12.1f} {limited:12.1f} {statistics.median(added):10.1f} {AT_MOST.get(row, ''):>8}   "
              f"{added[0]:.1f} to {added[-1]:.1f}")


if __name__ == "__main__":
    main()
