#!/usr/bin/env python3
"""Prints which share of a GPU's time tenants get under libtessera.so, without an agent, beside what they get without a
limit. Usage: shares.py --library LIB --tenant PROGRAM --uuid UUID [--seconds S] [--only TEXT]
Every cell is a process of its own in a container of its own. Kernel lengths are measured by the run without a limit, in
the same call. Ends with 1 if a cell of one tenant is off by more than --within points."""
import argparse
import os
import subprocess
import sys
import tempfile
import time

LIMITS = (10, 30, 50, 80)
KERNELS_US = (50, 500, 5000, 50000)
MODES = ("sync", "graph", "streams")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--uuid", required=True)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--within", type=float, default=2)
    parser.add_argument("--only", default="", help="table, modes or tenants")
    return parser.parse_args()


ARGS = parse()


def start(folder, percent, *args):
    """percent None: without the library."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_") or k.startswith("TESSERA_SIM")}
    if percent is not None:
        env |= {"LD_PRELOAD": ARGS.library, "TESSERA_REGION_DIR": folder, "TESSERA_SELF_CAP": "1",
                "TESSERA_LIMITS": f"v1 fixed-share {ARGS.uuid}:8192:{percent}"}
    return subprocess.Popen([ARGS.tenant, *map(str, args)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def end(process):
    """{'share': ..., 'kernel_ns': ...}; all zero if it failed, with a line that says how."""
    output, errors = process.communicate(timeout=20 * ARGS.seconds + 60)
    if process.returncode != 0:
        print(f"failed ({process.returncode}): {errors.strip()}", flush=True)
        return {"share": 0.0, "kernel_ns": 0.0}
    return {key: float(value) for key, value in (word.split("=") for word in output.split())}


def one(percent, *args, seconds=None):
    with tempfile.TemporaryDirectory() as folder:
        return end(start(folder, percent, "--seconds", seconds or ARGS.seconds, *args))


def bare(*args):
    return one(None, *args, seconds=min(ARGS.seconds, 3))


def row(name, cells):
    print("| " + " | ".join([str(name), *[c if isinstance(c, str) else f"{c:.1f}" for c in cells]]) + " |", flush=True)


def table(wrong):
    """One tenant, launches queued."""
    alone = {us: bare("--kernel-us", us) for us in KERNELS_US}
    row("limit", [f"{us} us" for us in KERNELS_US])
    row("---", ["---"] * len(KERNELS_US))
    row("bare", [alone[us]["share"] for us in KERNELS_US])
    for percent in LIMITS:
        got = [one(percent, "--kernel-us", us, "--kernel-ns", alone[us]["kernel_ns"])["share"] for us in KERNELS_US]
        row(percent, got)
        wrong += [f"{percent} % of {us} us: {g:.1f}" for us, g in zip(KERNELS_US, got) if abs(g - percent) > ARGS.within]


def modes(wrong):
    """One tenant, limit 30, kernels of 500 us, other ways to launch."""
    row("500 us, limit 30", ["bare", "limited"])
    row("---", ["---"] * 2)
    for mode in MODES:
        # What sets the kernel's length is how it runs among others, not how it was launched.
        alone = bare("--kernel-us", 500, "--mode", mode)
        got = one(30, "--kernel-us", 500, "--mode", mode, "--kernel-ns", alone["kernel_ns"])["share"]
        row(mode, [alone["share"], got])
        if abs(got - 30) > ARGS.within:
            wrong.append(f"{mode}: {got:.1f}")


def tenants():
    """Side by side, each keeping its own share; nobody arbitrates, so the hardware slices what overlaps."""
    kernel_ns = bare("--kernel-us", 100)["kernel_ns"]
    row("side by side, 100 us", ["shares", "total"])
    row("---", ["---"] * 2)
    for shares in ([None, None], [50, 50], [30, 70], [10, 20, 70], [25] * 4):
        with tempfile.TemporaryDirectory() as folder:
            at, running = time.time() + 3, []
            for i, percent in enumerate(shares):
                os.mkdir(f"{folder}/{i}")
                running.append(start(f"{folder}/{i}", percent, "--kernel-us", 100, "--kernel-ns", kernel_ns,
                                     "--seconds", ARGS.seconds, "--start-at", at))
            got = [end(process)["share"] for process in running]
        name = ":".join("bare" if s is None else str(s) for s in shares)
        row(name, [" + ".join(f"{g:.1f}" for g in got), sum(got)])


def main():
    wrong = []
    parts = {"table": lambda: table(wrong), "modes": lambda: modes(wrong), "tenants": tenants}
    for name, part in parts.items():
        if ARGS.only in ("", name):
            print(f"\n{name}", flush=True)
            part()
    print("\nwithin bounds" if not wrong else "\noff: " + "; ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
