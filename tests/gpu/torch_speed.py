#!/usr/bin/env python3
"""What libtessera.so costs PyTorch, and which share of the GPU's time a limit leaves it.
Usage: torch_speed.py --library LIB --uuid UUID [--arbiter PROGRAM] [--pairs N] [--seconds S] [--cores P]
Processes stand ready, bare, under the library without a limit of cores, and with one, and run in turn, each for a
moment: what changes on the machine meanwhile changes for all. Where other users of the machine make single moments differ by
a third, the quickest tenth of the steps tells what the library costs. The GPU time obtained under a limit is told in two ways:
throughput, times the time that the kernels of a step take by PyTorch's profiler; and NVML's utilisation while it ran."""
import argparse
import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

MEMORY_MIB = 131072
WORKER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "torch_work.py")
WORK = ("resnet50 b1", "transformer b1", "resnet50 training", "matmul 4096")  # of torch_work.py
CPUS = 4
SETTLES_SECONDS = 0.6  # until credit from an idle time is used up
LEARNS_SECONDS = 3.0  # until the agent knows what part of what is counted is work


# --- The tables -------------------------------------------------------------------------------------------------------
def spin_seconds(cpu):
    """What a loop takes on that CPU; more where somebody else uses it or its core too."""
    os.sched_setaffinity(0, [cpu])
    took = []
    for _ in range(5):
        start = time.perf_counter()
        sum(range(100_000))
        took.append(time.perf_counter() - start)
    return statistics.mean(took)


def quiet_cpus(uuid):
    """CPUS of them, each of a core of its own, near the GPU if that is known."""
    may_use = os.sched_getaffinity(0)
    bus = subprocess.run(["nvidia-smi", "-i", uuid, "--query-gpu=pci.bus_id", "--format=csv,noheader"], capture_output=True,
                         text=True)
    near = set()
    with contextlib.suppress(OSError), open(f"/sys/bus/pci/devices/{bus.stdout.strip().lower()[4:]}/local_cpulist") as file:
        for part in file.read().strip().split(","):
            first, _, last = part.partition("-")
            near |= set(range(int(first), int(last or first) + 1))
    cpus = one_cpu_per_core(may_use & near or may_use)
    quiet = sorted(cpus, key=spin_seconds)[:CPUS]
    os.sched_setaffinity(0, may_use)
    return quiet


def one_cpu_per_core(cpus):
    found = {}
    for cpu in sorted(cpus):
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
                found.setdefault(file.read(), cpu)
        except OSError:
            found[cpu] = cpu
    return list(found.values())


class Utilization:
    """NVML's utilisation of a GPU since the last start(), in percent: the mean of its samples, of some 0.1 s each."""

    class Sample(ctypes.Structure):
        _fields_ = [("time_us", ctypes.c_uint64), ("value", ctypes.c_uint64)]

    def __init__(self, uuid):
        self.nvml = ctypes.CDLL("libnvidia-ml.so.1")
        self.device = ctypes.c_void_p()
        self.last_us = 0
        for status in (self.nvml.nvmlInit_v2(), self.nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(self.device))):
            if status:
                sys.exit(f"NVML answers {status}")

    def samples(self):
        count, kind = ctypes.c_uint(1024), ctypes.c_int()
        samples = (self.Sample * count.value)()
        status = self.nvml.nvmlDeviceGetSamples(self.device, 1, ctypes.c_uint64(self.last_us), ctypes.byref(kind),
                                                ctypes.byref(count), samples)
        found = [] if status else [(s.time_us, s.value & 0xFFFFFFFF) for s in samples[:count.value] if s.time_us > self.last_us]
        self.last_us = max([self.last_us] + [at for at, _ in found])
        return found

    def start(self):
        self.samples()

    def busy(self):
        found = self.samples()[2:]  # the first ones began before
        return statistics.mean(value for _, value in found) if found else float("nan")


class Worker:
    """A process with the library and a limit of cores, or without it (cores None)."""

    def __init__(self, args, folder, cores):
        env = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_")}
        if cores is not None:
            self.folder = os.path.join(folder, f"cores{cores}")
            os.mkdir(self.folder)
            env |= {"LD_PRELOAD": args.library, "TESSERA_REGION_DIR": self.folder,
                    "TESSERA_LIMITS": f"v1 fixed-share {args.uuid}:{MEMORY_MIB}:{cores}"}
        self.process = subprocess.Popen([sys.executable, WORKER], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        # The same for all: which CPU a process happens to get makes more of a difference than the library.
        os.sched_setaffinity(self.process.pid, args.cpus)

    def ask(self, *question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def kernels_us(args, folder, names):
    """In a process of its own, because the profiler leaves it slower than it was."""
    profiled = Worker(args, folder, None)
    found = {}
    for name in names:
        profiled.ask(name)
        found[name] = profiled.ask(name, "profile")["kernel_us"]
    profiled.close()
    return found


def arbitrate(args, worker):
    process = subprocess.Popen([args.arbiter, args.uuid, f"{worker.folder}:fixed-share:{args.cores}"],
                               stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def undisturbed(steps):
    """What a step takes when nobody disturbs the machine: the tenth percentile."""
    return sorted(steps)[len(steps) // 10]


def compare(args, name, bare, held, control):
    """In turn, each one the first now and then; the others rest meanwhile. `control` is bare as well."""
    rates, steps = ({one: [] for one in (bare, held, control)} for _ in range(2))
    for i in range(args.pairs):
        order = [bare, held, control]
        for one in order[i % 3:] + order[:i % 3]:
            result = one.ask(name, args.seconds)
            rates[one].append(result["rate"])
            steps[one] += result["steps"]
    cells = []
    for one in (held, control):
        ratios = sorted(100 * h / b for b, h in zip(rates[bare], rates[one]))
        quick = 100 * undisturbed(steps[bare]) / undisturbed(steps[one])
        quartiles = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        cells.append(f"{statistics.median(ratios):.1f} ({quartiles[0]:.1f} to {quartiles[1]:.1f}), {quick:.1f}")
    row = f"| {name} | {statistics.median(rates[bare]):.1f} | " + " | ".join(cells) + " |"
    return row, 100 * undisturbed(steps[bare]) / undisturbed(steps[held])


def limited(args, name, bare, held, kernels, gpu):
    """The share that `held` obtains, where the kernels of a step take `kernels` us."""
    rates, steps, nvml, results = ({bare: [], held: []} for _ in range(4))
    held.ask(name, LEARNS_SECONDS)
    for one in (bare, held, bare, held):
        one.ask(name, SETTLES_SECONDS)
        gpu.start()
        result = one.ask(name, args.limited_seconds)
        nvml[one].append(gpu.busy())
        rates[one].append(result["rate"])
        steps[one] += result["steps"]
        results[one].append(result)
    b, h = (statistics.mean(rates[one]) for one in (bare, held))
    of_kernels = [1e-4 * kernels * rate for rate in (b, h)]
    of_nvml = [statistics.mean(nvml[one]) for one in (bare, held)]
    quick = 100 * undisturbed(steps[bare]) / undisturbed(steps[held])
    told = [statistics.mean(result[word] for result in results[held]) for word in ("charged", "waited")]
    return (f"| {name} | {100 * h / b:.1f} %, {quick:.1f} % | {of_kernels[0]:.1f}, {of_nvml[0]:.1f} | "
            f"{of_kernels[1]:.1f}, {of_nvml[1]:.1f} | {told[0]:.1f}, {told[1]:.1f} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library")
    parser.add_argument("--uuid")
    parser.add_argument("--arbiter", help="plays the agent for the process with a limit; without it the library is by itself")
    parser.add_argument("--pairs", type=int, default=25, help="turns of each of the two without a limit; 0: none")
    parser.add_argument("--seconds", type=float, default=0.25, help="of such a turn")
    parser.add_argument("--only", default="", help="workloads whose name begins so")
    parser.add_argument("--cores", type=int, default=50, help="0: only the comparison without a limit")
    parser.add_argument("--limited-seconds", type=float, default=4, help="of a turn with a limit; two of each")
    args = parser.parse_args()
    args.cpus = quiet_cpus(args.uuid)
    free, held, ok = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        names = [name for name in WORK if name.startswith(args.only)]
        gpu = Utilization(args.uuid)
        kernels = kernels_us(args, folder, names) if args.cores else {}
        workers = [Worker(args, folder, cores) for cores in (None, 0, None, args.cores)[:4 if args.cores else 3]]
        arbiter = arbitrate(args, workers[-1]) if args.arbiter and args.cores else None
        for name in names:
            for one in workers:
                one.ask(name)
            if args.pairs:
                row, quick = compare(args, name, *workers[:3])
                print(row, flush=True)
                free.append(row)
                ok = ok and quick >= 99
            if args.cores:
                held.append(limited(args, name, workers[0], workers[3], kernels[name], gpu))
                print(held[-1], flush=True)
        for one in workers:
            one.close()
        if arbiter:
            arbiter.terminate()
            arbiter.wait()
    print("\n% of bare: median of pairs (quartiles), undisturbed steps\n"
          "| no limit of cores | bare, steps/s | under the library | bare again |\n| --- | --- | --- | --- |",
          *free, sep="\n")
    print(f"\n| cores {args.cores} | throughput and speed of undisturbed steps, of bare | GPU busy bare: kernels, NVML | "
          "GPU time: kernels, NVML | charged, waited |\n| --- | --- | --- | --- | --- |", *held, sep="\n")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
