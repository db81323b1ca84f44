#!/usr/bin/env python3
"""Every path by which a program takes device memory, bare and under libtessera.so: a table of what was held, the error,
and what NVML shows for the process. One process for each case; fails if a limited one got beyond its limit, by its own
count or by what is shown: what is shown includes all that the driver takes for itself, and none of it is free.
Usage: paths.py --program PATHS --library LIBTESSERA [--limit-mib N] [--uuid GPU-...] [--only CASE,...]"""
import argparse
import ctypes
import os
import queue
import subprocess
import sys
import tempfile
import threading

MIB = 1 << 20
OK, OUT_OF_MEMORY = 0, 2
# Known not to be held to the limit; README.md of the interceptor says why.
NOT_HELD = {}


class Process(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_uint), ("bytes", ctypes.c_ulonglong), ("gi", ctypes.c_uint), ("ci", ctypes.c_uint)]


class Nvml:
    """Of the first GPU, asked by a process that the library does not limit."""

    def __init__(self):
        self.library = ctypes.CDLL("libnvidia-ml.so.1")
        self.device = ctypes.c_void_p()
        self.library.nvmlInit_v2()
        self.library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.device))

    def uuid(self):
        text = ctypes.create_string_buffer(96)
        self.library.nvmlDeviceGetUUID(self.device, text, 96)
        return text.value.decode()

    def bytes_of(self, pid):
        """None where NVML does not list it."""
        count, processes = ctypes.c_uint(256), (Process * 256)()
        self.library.nvmlDeviceGetComputeRunningProcesses_v3(self.device, ctypes.byref(count), processes)
        return next((p.bytes for p in processes[:count.value] if p.pid == pid), None)

    def free(self):
        memory = (ctypes.c_ulonglong * 3)()
        self.library.nvmlDeviceGetMemoryInfo(self.device, memory)
        return memory[1]


class Run:
    """One case in one process: fields are None where it did not get so far."""

    def __init__(self, program, case, wanted, nvml, env, route, timeout):
        self.held = self.error = self.steps = self.shown = self.left = self.again = None
        self.process = subprocess.Popen([program, case, str(wanted), route], env=env, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout] + [self.lines.put("")],
                         daemon=True).start()
        try:
            self.steps_of(nvml, timeout)
        except (queue.Empty, ValueError, IndexError, BrokenPipeError):
            pass
        finally:
            self.process.kill()
            self.process.wait()
            self.problem = self.process.stderr.read().strip()

    def steps_of(self, nvml, timeout):
        words = self.lines.get(timeout=timeout).split()
        self.held, self.error, self.steps = int(words[1]), int(words[2]), int(words[3])
        self.shown = nvml.bytes_of(self.process.pid)
        self.go_on()
        assert self.lines.get(timeout=timeout).strip() == "freed"
        self.left = nvml.bytes_of(self.process.pid)
        self.go_on()
        self.again = int(self.lines.get(timeout=timeout).split()[1])

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def mib(value):
    return "-" if value is None else f"{value / MIB:.0f}"


def limited_environment(args, folder):
    os.makedirs(f"{folder}/region")
    return {**os.environ, "LD_PRELOAD": args.library, "TESSERA_REGION_DIR": f"{folder}/region",
            "TESSERA_LIMITS": f"v1 fixed-share {args.uuid}:{args.limit_mib}:0"}


def judge(case, run, limit):
    """Why the run is bad; None: it is good."""
    if run.held is None:
        return f"no answer {run.problem}"
    if run.held > limit and case not in NOT_HELD:
        return "beyond the limit"
    if run.shown is not None and run.shown > limit and case not in NOT_HELD:
        return f"{(run.shown - limit) / MIB:.1f} beyond the limit shown"
    # How much each step of these takes is not told: it is by what is shown that they are judged.
    if case == "cuGreenCtxCreate" or case.startswith(("cuCtxCreate", "cuCtxSetLimit")):
        return None
    if run.held <= limit and run.error != OUT_OF_MEMORY:
        return f"refused with {run.error}"
    if run.again != OK and case not in ("cuMemCreate_exported",):
        return f"nothing after freeing: {run.again}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--limit-mib", type=int, default=4096)
    parser.add_argument("--uuid")
    parser.add_argument("--only", default="")
    parser.add_argument("--timeout", type=float, default=60, help="seconds, for each step of a case")
    args = parser.parse_args()
    nvml = Nvml()
    args.uuid = args.uuid or nvml.uuid()
    limit, wanted = args.limit_mib * MIB, args.limit_mib * MIB * 3 // 2
    if nvml.free() < 2 * wanted:
        sys.exit(f"{mib(nvml.free())} MiB are free, {mib(2 * wanted)} are needed")
    cases = subprocess.run([args.program], check=True, capture_output=True, text=True).stdout.split()
    cases = [case for case in cases if not args.only or case in args.only.split(",")]
    print(f"{args.uuid}, limit {args.limit_mib} MiB, tried to hold {mib(wanted)}; MiB; 'shown' is NVML's figure of the process")
    print(f"{'path':26}{'bare: held':>11}{'error':>6}{'shown':>7} |{'limited: held':>14}{'error':>6}{'shown':>7}"
          f"{'after free':>11}{'again':>6}  verdict")
    bad = 0
    for case in cases:
        bare = Run(args.program, case, wanted, nvml, None, "symbols", args.timeout)
        verdicts = []
        for route in ["symbols", "table"]:
            with tempfile.TemporaryDirectory() as folder:
                env = limited_environment(args, folder)
                limited = Run(args.program, case, wanted, nvml, env, route, args.timeout)
            verdicts.append(judge(case, limited, limit))
        verdict = next((v for v in verdicts if v), None)
        bad += verdict is not None
        print(f"{case:26}{mib(bare.held):>11}{bare.error!s:>6}{mib(bare.shown):>7} |{mib(limited.held):>14}"
              f"{limited.error!s:>6}{mib(limited.shown):>7}{mib(limited.left):>11}{limited.again!s:>6}  {verdict or 'ok'}",
              flush=True)
    print(f"{len(cases) - bad} of {len(cases)} paths hold to the limit")
    sys.exit(bad != 0)


if __name__ == "__main__":
    main()
