#!/usr/bin/env python3
"""Memory beyond a container's share, on a real GPU or the simulated one: 1.5 times the share is held, written and read; the
cap holds, also for two processes together; without a cap the share does.
Usage: oversubscribe.py --program OVERSUBSCRIBE --library LIBTESSERA [--share-mib N] [--uuid GPU-...]"""
import argparse
import os
import subprocess
import sys
import tempfile

from paths import MIB, OUT_OF_MEMORY, OK, Nvml

BLOCK = 64  # MiB, of the program


class Tenant:
    """A process of the container: has a context, takes memory when told to, and holds it until told to end."""

    def __init__(self, args, folder, host_mib, wanted_mib):
        cap = f":{host_mib}" if host_mib else ""
        env = {**os.environ, "LD_PRELOAD": args.library, "TESSERA_REGION_DIR": folder,
               "TESSERA_LIMITS": f"v1 fixed-share {args.uuid}:{args.share_mib}:0{cap}"}
        self.process = subprocess.Popen([args.program, str(wanted_mib)], env=env, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.share_left = int(self.line().split()[1]) - host_mib

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"no answer: {self.process.communicate()[1].strip()}")
        return line

    def take(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        words = self.line().split()
        self.said = dict(zip(words[::2], words[1::2]))
        self.held, self.managed, self.error, self.wrong, self.free = (
            int(self.said[word]) for word in ("held", "managed", "error", "wrong", "free"))
        self.held, self.managed = self.held * BLOCK, self.managed * BLOCK
        return self

    def fits(self):
        """What the program's blocks can take of the share."""
        return self.share_left // BLOCK * BLOCK

    def end(self):
        """What is free, in MiB, after it has freed."""
        return int(self.process.communicate("\n", timeout=60)[0].split()[1])

    def kill(self):
        self.process.kill()
        self.process.communicate()


def held_and_right(args, folder):
    share, wanted = args.share_mib, args.share_mib * 3 // 2
    tenant = Tenant(args, folder, share, wanted).take()
    print(f"  held {tenant.held} MiB of a share of {share}, {tenant.managed} of them managed; wrong words: {tenant.wrong}; "
          f"written in {tenant.said['first']} s, again in {tenant.said['again']} s")
    freed = tenant.end()
    yield "it holds 1.5 times the share", tenant.held == wanted and tenant.error == OK
    yield "what the share has room for is not managed memory", tenant.held - tenant.managed == tenant.fits()
    yield "contents are right", tenant.wrong == 0
    yield "freed, all of it may be had again", freed == tenant.free + tenant.held


def cap_holds(args, folder):
    share, cap = args.share_mib, args.share_mib // 4
    tenant, second = Tenant(args, folder, cap, 2 * share), Tenant(args, folder, cap, share)
    tenant.take()
    print(f"  held {tenant.held} MiB of a share of {share} and a cap of {cap}, then error {tenant.error}")
    yield "it ends with out of memory", tenant.error == OUT_OF_MEMORY
    yield "managed memory is the cap", tenant.managed == cap
    yield "the rest is what the share had left", tenant.held - tenant.managed == second.fits()
    yield "contents are right", tenant.wrong == 0
    second.take()
    print(f"  a second process got {second.held} MiB beside it")
    yield "a second process gets no managed memory", second.managed == 0 and second.error == OUT_OF_MEMORY
    second.kill()
    tenant.kill()
    third = Tenant(args, folder, cap, 2 * share).take()
    print(f"  after both were killed a third got {third.held} MiB")
    yield "what the killed had is there again", third.held >= tenant.held and third.managed == cap
    third.kill()


def off_is_off(args, folder):
    tenant = Tenant(args, folder, 0, 2 * args.share_mib).take()
    print(f"  held {tenant.held} MiB of a share of {args.share_mib}, then error {tenant.error}")
    yield "the share holds", (tenant.held, tenant.managed, tenant.error) == (tenant.fits(), 0, OUT_OF_MEMORY)
    tenant.kill()


def host_available():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--share-mib", type=int, default=2048)
    parser.add_argument("--uuid")
    args = parser.parse_args()
    nvml = Nvml()
    args.uuid = args.uuid or nvml.uuid()
    # Managed memory that exceeds what is free can hang a GPU, or the machine.
    needed = 2 * args.share_mib * MIB
    for where, free in [("on the card", nvml.free()), ("of the machine's memory", host_available())]:
        if free < 2 * needed:
            sys.exit(f"{free // MIB} MiB {where} are free, {2 * needed // MIB} are needed")
    bad = 0
    for case in [held_and_right, cap_holds, off_is_off]:
        print(f"--- {case.__name__}")
        with tempfile.TemporaryDirectory() as folder:
            for what, good in case(args, folder):
                bad += not good
                print(f"  {'ok' if good else 'BAD'}: {what}", flush=True)
    print("memory beyond the share: " + ("ok" if bad == 0 else f"{bad} bad"))
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
