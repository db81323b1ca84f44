#!/usr/bin/env python3
"""What the library adds to calls and to the start of a process, by cost.cc.
--program cost --library libtessera.so --uuid GPU-... [--rounds 6] [--starts 40] [--limit-mib 4096] [--cold KIB] [--bounds FACTOR]

Calls: --rounds processes under the library and as many bare ones, in turn; in each, batches of the driver's own function
and of the one that dlsym gives take turns. --cold: before each call so much memory and code is touched, as a real driver does. Starts: --starts processes, bare and limited, in turn. All on one CPU.
With --bounds the exit status says whether everything is at most FACTOR times what interceptor/README.md promises, and whether
the bare processes, where there is nothing to find, showed nothing."""
import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile

# As promised in interceptor/README.md, nanoseconds.
AT_MOST = {"cuLaunchKernel": 5, "cuMemAlloc_up_to_20000": 150, "cuMemFree_newest_of_20000": 150, "cuMemGetInfo": 100,
           "cuGetProcAddress_unhooked": 50, "until_first_call": 500_000}
# What a bare process may show, of the time of the call itself.
CONTROL_PART = 0.02
CALLS_LEGEND = """\
ns for one call. driver: its own function; found: the one that dlsym gives under the library; added: their difference within a
  pair of batches, each the median of its process; here the median over {rounds} processes, and in brackets their least and most:
  an interval for the true median with a confidence of {sure:.1%}. batches: quartiles of the pairs, medians over processes.
control: the same in bare processes, where both functions are one and the same; it has to be 0."""
STARTS_LEGEND = """\
us of CPU time of a process, {starts} bare and {starts} limited in turn: medians, and the differences of medians, of lower quartiles (with the
  interval that 95 % of 2000 bootstrap samples give) and of minima. control: lower quartiles of every other bare start less the rest.
until_main: the kernel's exec and the loader. until_first_call: moreover the driver is opened, and a call refused by it because cuInit
  has not run: up to there the library has done all that it does first, limits, region, its table of the driver. That is its price.
until_cuInit: the driver's own start too, which is the same code in both; what the library adds drowns in it where it is long."""


class Container:
    """What a process needs to run limited. One region for all: each process after the first finds it, as in a container."""

    def __init__(self, args, folder):
        self.args = args
        self.env = dict(os.environ, LD_PRELOAD=args.library, TESSERA_REGION_DIR=folder, TESSERA_LIMITS_FILE=f"{folder}/limits")
        with open(f"{folder}/limits", "w") as file:
            file.write(f"v1 fixed-share {args.uuid}:{args.limit_mib}:100")

    def run(self, mode, limited, *more):
        """name -> its numbers"""
        out = subprocess.run([self.args.program, mode, *more], env=self.env if limited else None, check=True, stdout=subprocess.PIPE,
                             text=True).stdout
        return {name: [float(value) for value in values] for name, *values in map(str.split, out.splitlines())}


def calls(container, rounds, cold_kib):
    """row -> what was added in the process where it was least: noise adds to some, a slower library to all; and the rows in which
    bare processes showed something."""
    pairs = [(container.run("limited", True, str(cold_kib)), container.run("control", False, str(cold_kib))) for _ in range(rounds)]
    if cold_kib:
        print(f"before each call {cold_kib} KiB of other memory and code are touched")
    print(CALLS_LEGEND.format(rounds=rounds, sure=1 - 0.5 ** (rounds - 1)))
    print(f"{'':26} {'driver':>8} {'found':>8}   {'added':>24} {'at most':>8}   {'batches':>18}   control")
    added, strange = {}, []
    for name in pairs[0][0]:
        own, found, middle, lower, upper = (statistics.median(limited[name][i] for limited, _ in pairs) for i in range(5))
        each, zero = ([run[name][2] for run in side] for side in zip(*pairs))
        added[name] = min(each)
        if abs(statistics.median(zero)) > CONTROL_PART * own + 0.1:
            strange.append(name)
        spread = f"{middle:.1f} [{min(each):.1f}, {max(each):.1f}]"
        print(f"{name:26} {own:8.1f} {found:8.1f}   {spread:>24} {AT_MOST.get(name, ''):>8}   {f'{lower:.1f} to {upper:.1f}':>18}   "
              f"{statistics.median(zero):.2f} [{min(zero):.2f}, {max(zero):.2f}]")
    return added, strange


def lower_quartile(values):
    return sorted(values)[len(values) // 4]


def interval(bare, limited, of):
    """Of the difference of two figures of independent samples, by percentiles of bootstrap samples."""
    chance = random.Random(1)
    drawn = sorted(of(chance.choices(limited, k=len(limited))) - of(chance.choices(bare, k=len(bare))) for _ in range(2000))
    return drawn[50], drawn[-51]


def starts(container, count):
    """point -> what was added, of lower quartiles."""
    runs = [(container.run("start", False), container.run("start", True)) for _ in range(count)]
    print(STARTS_LEGEND.format(starts=count))
    print(f"{'':26} {'bare':>8} {'limited':>8}   {'medians':>26}   {'lower quartiles':>26} {'minima':>8} {'at most':>8}  control")
    added = {}
    for point in ["main", "driver_open", "first_call", "cuInit"]:
        bare, limited = ([run[point][0] / 1000 for run in side] for side in zip(*runs))
        told = []
        for of in (statistics.median, lower_quartile):
            low, high = interval(bare, limited, of)
            told.append(f"{of(limited) - of(bare):.0f} [{low:.0f}, {high:.0f}]")
        name = f"until_{point}"
        added[name] = 1000 * (lower_quartile(limited) - lower_quartile(bare))
        bound = f"{AT_MOST[name] / 1000:.0f}" if name in AT_MOST else ""
        print(f"{name:26} {statistics.median(bare):8.0f} {statistics.median(limited):8.0f}   {told[0]:>26}   {told[1]:>26} "
              f"{min(limited) - min(bare):8.0f} {bound:>8}  {lower_quartile(bare[::2]) - lower_quartile(bare[1::2]):.0f}")
    return added


def main():
    parser = argparse.ArgumentParser()
    for name in ["program", "library", "uuid"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--limit-mib", type=int, default=4096)
    parser.add_argument("--cold", type=int, default=0)
    parser.add_argument("--bounds", type=float)
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        container = Container(args, folder)
        added, strange = calls(container, args.rounds, args.cold)
        added |= starts(container, args.starts) if args.starts else {}
    if args.bounds is None:
        return 0
    beyond = [name for name, most in AT_MOST.items() if name in added and added[name] > args.bounds * most]
    print(f"beyond {args.bounds} times what is promised: {beyond or 'nothing'}; bare processes showed something: {strange or 'nowhere'}")
    return 1 if beyond or strange else 0


if __name__ == "__main__":
    sys.exit(main())
