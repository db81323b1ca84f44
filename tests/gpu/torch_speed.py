#!/usr/bin/env python3
"""What libtessera.so costs PyTorch, and which share of the GPU's time a limit leaves it.
Usage: torch_speed.py --library LIB --uuid UUID [--arbiter PROGRAM] [--pairs N] [--seconds S] [--cores P]
Processes stand ready, bare, under the library without a limit of cores, and with one, and run in turn, each for a
moment: what changes on the machine meanwhile changes for all. Where other users of the machine make single moments differ by
a third, the quickest tenth of the steps tells what the library costs. The GPU time obtained under a limit is told in two ways:
throughput, times the time that the kernels of a step take by PyTorch's profiler; and NVML's utilisation while it ran."""
import argparse
import ctypes
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

MEMORY_MIB = 131072
CPUS = 4
SETTLES_SECONDS = 0.6  # until credit from an idle time is used up
LEARNS_SECONDS = 3.0  # until the agent knows what part of what is counted is work


# --- In a process of its own ------------------------------------------------------------------------------------------
def bottleneck(torch, inside, width, stride):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            out = 4 * width
            self.body = nn.Sequential(
                nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
                nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out))
            same = stride == 1 and inside == out
            self.skip = nn.Identity() if same else nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False),
                                                                 nn.BatchNorm2d(out))

        def forward(self, x):
            return torch.relu(self.body(x) + self.skip(x))
    return Block()


def resnet50(torch):
    nn = torch.nn
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inside = 64
    for width, blocks, stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for i in range(blocks):
            layers.append(bottleneck(torch, inside, width, stride if i == 0 else 1))
            inside = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, 1000)).cuda()


def resnet_inference(torch):
    model, image = resnet50(torch).eval(), torch.randn(1, 3, 224, 224, device="cuda")

    def step():
        with torch.no_grad():
            model(image)
        torch.cuda.synchronize()
    return step


def transformer_inference(torch):
    layer = torch.nn.TransformerEncoderLayer(1024, 16, 4096, batch_first=True, dtype=torch.float16, device="cuda")
    model = torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False).eval()
    tokens = torch.randn(1, 512, 1024, dtype=torch.float16, device="cuda")

    def step():
        with torch.no_grad():
            model(tokens)
        torch.cuda.synchronize()
    return step


def resnet_training(torch):
    model = resnet50(torch).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.randn(64, 3, 224, 224, device="cuda"), torch.randint(1000, (64,), device="cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
    return step


def matmul(torch):
    a = torch.randn(4096, 4096, dtype=torch.float16, device="cuda")
    b = torch.randn(4096, 4096, dtype=torch.float16, device="cuda")

    def step():
        for _ in range(50):
            torch.mm(a, b)
        torch.cuda.synchronize()
    return step


WORK = {"resnet50 b1": resnet_inference, "transformer b1": transformer_inference, "resnet50 training": resnet_training,
        "matmul 4096": matmul}


def kernel_us(torch, step):
    """The time of all kernels of a step."""
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(3):
            step()
        torch.cuda.synchronize()
    spans = [(e.time_range.start, e.time_range.end) for e in seen.events()
             if e.device_type == torch.autograd.DeviceType.CUDA]
    return sum(end - start for start, end in spans) / 3


def charged():
    """GPU seconds and seconds of waiting that the library has counted; its region's format is interceptor/region/README.md."""
    folder = os.environ.get("TESSERA_REGION_DIR")
    if folder is None:
        return 0.0, 0.0
    with open(f"{folder}/region", "rb") as file:
        return [ns / 1e9 for ns in struct.unpack_from("<2Q", file.read(4096), 64 + 80 + 16)]


def worker():
    """Does what it is told, a line of JSON each way: [name] makes the work and warms up, [name, seconds] runs it and says how,
    [name, "profile"] tells its kernels' time."""
    import torch
    torch.backends.cudnn.benchmark = False
    steps = {}
    for line in sys.stdin:
        name, what = (json.loads(line) + [None])[:2]
        if what is None:
            steps = {name: WORK[name](torch)}
            result = run_for(steps[name], 1.0)
        elif what == "profile":
            result = {"kernel_us": kernel_us(torch, steps[name])}
        else:
            result = run_for(steps[name], what)
        print(json.dumps(result), flush=True)


def run_for(step, seconds):
    used, waited = charged()
    start = time.monotonic()
    ends = [start]
    while ends[-1] - start < seconds:
        step()
        ends.append(time.monotonic())
    took = ends[-1] - start
    now_used, now_waited = charged()
    return {"rate": (len(ends) - 1) / took, "steps": [round(b - a, 7) for a, b in zip(ends, ends[1:])],
            "charged": 100 * (now_used - used) / took, "waited": 100 * (now_waited - waited) / took}


# --- The tables -------------------------------------------------------------------------------------------------------
def one_cpu_per_core():
    """A CPU of each core that we may use."""
    found = {}
    for cpu in sorted(os.sched_getaffinity(0)):
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
        status = self.nvml.nvmlDeviceGetSamples(self.device, 1, ctypes.c_uint64(self.last_us), ctypes.byref(kind), ctypes.byref(count), samples)
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
        self.process = subprocess.Popen([sys.executable, __file__, "--worker"], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        # The same for all: which CPU a process happens to get makes more of a difference than the library.
        os.sched_setaffinity(self.process.pid, one_cpu_per_core()[:CPUS])

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
    process = subprocess.Popen([args.arbiter, args.uuid, f"{worker.folder}:fixed-share:{args.cores}"], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def undisturbed(steps):
    """What a step takes when nobody disturbs the machine: the tenth percentile."""
    return sorted(steps)[len(steps) // 10]


def compare(args, name, bare, held):
    """One after the other, each in its turn the first; the other process rests meanwhile."""
    rates, steps = {bare: [], held: []}, {bare: [], held: []}
    for i in range(args.pairs):
        for one in [(bare, held), (held, bare)][i % 2]:
            result = one.ask(name, args.seconds)
            rates[one].append(result["rate"])
            steps[one] += result["steps"]
    ratios = sorted(100 * h / b for b, h in zip(rates[bare], rates[held]))
    quick = 100 * undisturbed(steps[bare]) / undisturbed(steps[held])
    return (f"| {name} | {statistics.median(rates[bare]):.1f} | {statistics.median(ratios):.1f} % | "
            f"{ratios[len(ratios) // 4]:.1f} to {ratios[-1 - len(ratios) // 4]:.1f} % | {quick:.1f} % |"), quick


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
    return (f"| {name} | {100 * h / b:.1f} %, {quick:.1f} % | {of_kernels[0]:.1f}, {of_nvml[0]:.1f} | {of_kernels[1]:.1f}, {of_nvml[1]:.1f} | "
            f"{told[0]:.1f}, {told[1]:.1f} |")


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
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker()
    free, held, ok = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        names = [name for name in WORK if name.startswith(args.only)]
        gpu = Utilization(args.uuid)
        kernels = kernels_us(args, folder, names) if args.cores else {}
        workers = [Worker(args, folder, cores) for cores in (None, 0, args.cores)[:3 if args.cores else 2]]
        arbiter = arbitrate(args, workers[-1]) if args.arbiter and args.cores else None
        for name in names:
            for one in workers:
                one.ask(name)
            if args.pairs:
                row, quick = compare(args, name, *workers[:2])
                print(row, flush=True)
                free.append(row)
                ok = ok and quick >= 99
            if args.cores:
                held.append(limited(args, name, workers[0], workers[2], kernels[name], gpu))
                print(held[-1], flush=True)
        for one in workers:
            one.close()
        if arbiter:
            arbiter.terminate()
            arbiter.wait()
    print("\n| no limit of cores | bare, steps/s | under the library, median of pairs | quartiles | undisturbed steps |\n| --- | --- | --- | --- | --- |",
          *free, sep="\n")
    print(f"\n| cores {args.cores} | throughput and speed of undisturbed steps, of bare | GPU busy bare: kernels, NVML | GPU time: kernels, NVML | charged, waited |\n"
          "| --- | --- | --- | --- | --- |", *held, sep="\n")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
