#!/usr/bin/env python3
"""Prints which share of a GPU's time tenants get under libtessera.so beside what they get without a limit.
Usage: shares.py --library LIB --tenant PROGRAM --arbiter PROGRAM --uuid UUID [--seconds S] [--only PART[,PART]...]
Every cell is a process of its own in a container of its own. Kernel lengths are measured by the run without a limit, in
the same call. Ends with 1 if a cell of one tenant is off by more than --within points."""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time

PARTS = ("table", "modes", "natural", "tenants", "lent", "pauses", "bound", "latency")
LIMITS = (10, 30, 50, 80)
MODES = ("sync", "graph", "streams")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--uuid", required=True)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--within", type=float, default=2)
    parser.add_argument("--arbiter", help="plays the agent; without it, containers keep their shares by themselves")
    parser.add_argument("--side-by-side", type=int, nargs="*", default=(100, 2000, 30000), help="kernels of tenants, us")
    parser.add_argument("--kernels-us", type=int, nargs="+", default=(50, 500, 5000, 50000), help="of the table")
    parser.add_argument("--only", default="", help=", ".join(PARTS))
    return parser.parse_args()


ARGS = parse()


def start(folder, percent, *args, policy="fixed-share"):
    """percent None: without the library."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_") or k.startswith("TESSERA_SIM")}
    if percent is not None:
        env |= {"LD_PRELOAD": ARGS.library, "TESSERA_REGION_DIR": folder,
                "TESSERA_LIMITS": f"v1 {policy} {ARGS.uuid}:8192:{percent}"}
    return subprocess.Popen([ARGS.tenant, *map(str, args)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


@contextlib.contextmanager
def arbitrated(*containers):
    """(policy, percent) each; yields a folder for each, which the agent's arbiter watches."""
    with tempfile.TemporaryDirectory() as folder:
        folders = [os.path.join(folder, str(i)) for i in range(len(containers))]
        for one_folder in folders:
            os.mkdir(one_folder)
        arbiter = None
        if ARGS.arbiter:
            arbiter = subprocess.Popen([ARGS.arbiter, ARGS.uuid, *[
                f"{path}:{policy}:{percent}" for path, (policy, percent) in zip(folders, containers)]],
                                       stdout=subprocess.DEVNULL)
        yield folders
        if arbiter:
            arbiter.terminate()
            arbiter.wait()


def end(process):
    """{'share': ..., 'kernel_ns': ...}; all zero if it failed, with a line that says how."""
    output, errors = process.communicate(timeout=20 * ARGS.seconds + 60)
    if process.returncode != 0:
        print(f"failed ({process.returncode}): {errors.strip()}", flush=True)
        return {"share": 0.0, "kernel_ns": 0.0}
    return {key: float(value) for key, value in (word.split("=") for word in output.split())}


def one(percent, *args, seconds=None):
    with arbitrated(("fixed-share", percent or 0)) as [folder]:
        return end(start(folder, percent, "--seconds", seconds or ARGS.seconds, *args))


def bare(*args):
    return one(None, *args, seconds=min(ARGS.seconds, 3))


def row(name, cells):
    print("| " + " | ".join([str(name), *[c if isinstance(c, str) else f"{c:.1f}" for c in cells]]) + " |", flush=True)


def table(wrong):
    """One tenant, launches queued."""
    alone = {us: bare("--kernel-us", us) for us in ARGS.kernels_us}
    row("limit", [f"{us} us" for us in ARGS.kernels_us])
    row("---", ["---"] * len(ARGS.kernels_us))
    row("bare", [alone[us]["share"] for us in ARGS.kernels_us])
    for percent in LIMITS:
        got = [one(percent, "--kernel-us", us, "--kernel-ns", alone[us]["kernel_ns"])["share"] for us in ARGS.kernels_us]
        row(percent, got)
        wrong += [f"{percent} % of {us} us: {g:.1f}" for us, g in zip(ARGS.kernels_us, got) if abs(g - percent) > ARGS.within]


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


def natural(wrong):
    """A program that needs 40 % by itself, and may have 50."""
    row("natural use 40 %, limit 50", ["bare", "limited", "ratio"])
    row("---", ["---"] * 3)
    for kernel_us, think_us, mode in [(4000, 6000, "queued"), (400, 600, "queued"), (100, 150, "queued")]:
        pairs = []
        kernel_ns = bare("--kernel-us", kernel_us)["kernel_ns"]
        for _ in range(3):
            pairs.append([one(percent, "--kernel-us", kernel_us, "--kernel-ns", kernel_ns, "--think-us", think_us,
                              "--mode", mode)["share"] for percent in (None, 50)])
        alone, held = (statistics.median(column) for column in zip(*pairs))
        row(f"{kernel_us} us, then {think_us} us", [alone, held, f"{held / max(alone, 0.1):.3f}"])
        if held < 0.97 * alone:
            wrong.append(f"natural {kernel_us}: {held / alone:.3f}")


def together(containers, args, kernel_ns):
    """Runs a greedy tenant in each; their shares."""
    return shares_of([(*container, [*args, "--kernel-ns", kernel_ns]) for container in containers])


def side_by_side(tenants):
    """(policy, percent, arguments) each, policy "bare" without the library: what they print."""
    known = [("fixed-share" if policy == "bare" else policy, percent or 0) for policy, percent, _ in tenants]
    with arbitrated(*known) as folders:
        at = time.time() + 3
        running = [start(folder, None if policy == "bare" else percent, *args, "--seconds", ARGS.seconds, "--start-at", at,
                         policy=policy) for folder, (policy, percent, args) in zip(folders, tenants)]
        return [end(process) for process in running]


def shares_of(tenants):
    return [got["share"] for got in side_by_side(tenants)]


def tenants(wrong):
    """Side by side, all greedy. What one alone gets is the measure of the total."""
    for kernel_us in ARGS.side_by_side:
        kernel_ns = bare("--kernel-us", kernel_us)["kernel_ns"]
        alone = one(None, "--kernel-us", kernel_us, "--kernel-ns", kernel_ns)["share"]
        row(f"side by side, {kernel_us} us", ["shares", "total, one alone gets " + f"{alone:.1f}"])
        row("---", ["---"] * 2)
        for policy, shares in [("bare", [None, None]), ("fixed-share", [50, 50]), ("fixed-share", [30, 70]),
                               ("fixed-share", [10, 20, 70]), ("fixed-share", [25] * 4), ("burst-share", [10, 30])]:
            if kernel_us != 100 and policy == "bare":
                continue
            got = together([(policy, s) for s in shares], ["--kernel-us", kernel_us], kernel_ns)
            row(f"{policy} " + ":".join("-" if s is None else str(s) for s in shares),
                [" + ".join(f"{g:.1f}" for g in got), sum(got)])
            if policy == "bare":
                continue
            due = [100 * s / sum(shares) for s in shares]
            for g, d in zip(got, due):
                if abs(100 * g / max(sum(got), 1) - d) > ARGS.within:
                    wrong.append(f"{policy} {shares} of {kernel_us} us: {got}")
            if sum(got) < 0.97 * alone:
                wrong.append(f"{policy} {shares} of {kernel_us} us: {sum(got):.1f} in all, one alone {alone:.1f}")


def lent(wrong):
    """Guarantees of 30 and 70; the second has a context, and nothing to do."""
    kernel_ns = bare("--kernel-us", 100)["kernel_ns"]
    with arbitrated(("burst-share", 30), ("burst-share", 70)) as folders:
        idle = start(folders[1], 70, "--kernel-us", 100, "--kernel-ns", kernel_ns, "--think-us", 30_000_000, "--seconds",
                     ARGS.seconds, policy="burst-share")
        time.sleep(3)
        got = end(start(folders[0], 30, "--kernel-us", 100, "--kernel-ns", kernel_ns, "--seconds", ARGS.seconds,
                        policy="burst-share"))["share"]
        idle.kill()
        idle.communicate()
    row("burst-share 30 beside an idle 70", [got])
    if got < 97:
        wrong.append(f"lent: {got:.1f}")


def pauses(wrong):
    """One that works and pauses by turns, beside one that never rests, half of the GPU for each."""
    row("works, pauses, of 50", ["alone", "no limits", "the other", "burst-share", "the other"])
    row("---", ["---"] * 5)
    other = ["--kernel-us", 500, "--kernel-ns", bare("--kernel-us", 500)["kernel_ns"]]
    for kernel_us, burst, think_us in [(4000, 1, 4000), (4000, 1, 10000), (1000, 1, 1600), (20, 200, 5000), (20, 200, 20000)]:
        work = ["--kernel-us", kernel_us, "--kernel-ns", bare("--kernel-us", kernel_us)["kernel_ns"]]
        work += ["--burst", burst, "--think-us", think_us]
        alone = bare(*work)["share"]
        free, held = (shares_of([(policy, 50, work), (policy, 50, other)]) for policy in ("bare", "burst-share"))
        name = f"{burst} x {kernel_us} us, {think_us / 1000:g} ms"
        row(name, [alone, *free, *held])
        if held[1] < 47 or held[0] < 0.3 * min(alone, 50):
            wrong.append(f"pauses {name}: {held[0]:.1f} and {held[1]:.1f}")


def bound(wrong):
    """Programs whose CPU sets the pace, as inference of batch 1: each launch waits for the CPU, and leaves a gap of microseconds."""
    step = ["--kernel-us", 8, "--launch-us", 20, "--burst", 100, "--think-us", 1]
    step += ["--kernel-ns", bare("--kernel-us", 8)["kernel_ns"]]
    greedy = ["--kernel-us", 100, "--kernel-ns", bare("--kernel-us", 100)["kernel_ns"]]
    alone = bare(*step)["share"]
    row("8 us of each 20 us", ["shares; one alone gets " + f"{alone:.1f}"])
    row("---", ["---"])
    for policy, percents in [("bare", [None] * 2), ("burst-share", [50] * 2), ("fixed-share", [50] * 2), ("fixed-share", [20] * 2),
                             ("bare", [None] * 3), ("fixed-share", [30] * 3)]:
        got = shares_of([(policy, percent, step) for percent in percents])
        row(f"{len(percents)} of {percents[0] or '-'}, {policy}", [" + ".join(f"{g:.1f}" for g in got)])
        if policy != "bare" and min(got) < 0.0095 * percents[0] * alone:
            wrong.append(f"bound {policy} {percents}: {got}")
    for policy, percent in [("bare", None), ("burst-share", 50), ("fixed-share", 20)]:
        other = ("bare", None, greedy) if policy == "bare" else ("burst-share", 50, greedy)
        got = shares_of([(policy, percent, step), other])
        row(f"{percent or '-'}, {policy}, beside a greedy one of {other[1] or '-'}", [" + ".join(f"{g:.1f}" for g in got)])
        if policy != "bare" and got[0] < 0.0095 * percent * alone:
            wrong.append(f"bound {policy} {percent} beside greedy: {got}")


def latency(wrong):
    """Work of 100 us, or of 4 ms in 200 kernels, each 10 or 20 ms, beside a greedy tenant."""
    for kernel_us, burst, period_us, quantum_us in [(100, 1, 10_000, 21_000), (20, 200, 20_000, 25_000)]:
        row(f"{burst} x {kernel_us} us each {period_us // 1000} ms", ["p50 us", "p99 us", "most us", "which began after s", "neighbour's share"])
        row("---", ["---"] * 5)
        now_and_then = ["--kernel-us", kernel_us, "--kernel-ns", 1000 * kernel_us, "--burst", burst, "--period-us", period_us]
        greedy = ["--kernel-us", 100, "--kernel-ns", bare("--kernel-us", 100)["kernel_ns"]]
        for name, first, *rest in [("alone", "burst-share"), ("beside one without limits", "bare", ("bare", None)),
                                   ("beside best-effort", "burst-share", ("best-effort", 0)),
                                   ("beside burst-share 50", "burst-share", ("burst-share", 50))]:
            got = side_by_side([(first, 50, now_and_then), *[(*one, greedy) for one in rest]])
            p99 = got[0].get("p99_us", 0)
            row(name, [got[0].get("p50_us", 0), p99, got[0].get("most_us", 0), got[0].get("most_at_s", 0),
                       got[1]["share"] if rest else "-"])
            if first != "bare" and not 0 < p99 < quantum_us:
                wrong.append(f"latency of {burst} x {kernel_us} us {name}: p99 {p99}")


def main():
    wrong = []
    for name in PARTS:
        if ARGS.only == "" or name in ARGS.only.split(","):
            print(f"\n{name}", flush=True)
            globals()[name](wrong)
    print("\nwithin bounds" if not wrong else "\noff: " + "; ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
