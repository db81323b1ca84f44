#!/usr/bin/env python3
"""What libtessera.so costs PyTorch, and which share of the GPU's time a limit leaves it.
Usage: torch_speed.py --library LIB --uuid UUID [--pairs N] [--seconds S] [--cores P]
Without a limit of cores, throughput bare and under the library alternates; with one (--cores), the GPU time obtained is
throughput under the limit by throughput bare, times the share of the time that the GPU was busy bare. That is told in two
ways: the sum of all kernels' times by PyTorch's profiler, and NVML's utilisation, both in a run of their own without the
library."""
import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

MEMORY_MIB = 131072


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


def measure(seconds, with_profile, with_nvml, only):
    import torch
    torch.backends.cudnn.benchmark = False
    results = {}
    for name, make in WORK.items():
        if not name.startswith(only):
            continue
        step = make(torch)
        warm = time.monotonic() + 0.5
        while time.monotonic() < warm:
            step()
        nvml = subprocess.Popen(["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms",
                                 "200"], stdout=subprocess.PIPE, text=True) if with_nvml else None
        used, waited = charged()
        start, count = time.monotonic(), 0
        while time.monotonic() - start < seconds:
            step()
            count += 1
        took = time.monotonic() - start
        rate = count / took
        result = {"rate": rate}
        result["charged"], result["waited"] = (100 * (now - then) / took for now, then in zip(charged(), (used, waited)))
        if nvml:
            nvml.terminate()
            samples = [float(line) for line in nvml.communicate()[0].split()][3:]
            result["nvml"] = statistics.mean(samples) if samples else 0.0
        if with_profile:
            result["kernel_us"] = kernel_us(torch, step)
        results[name] = result
    print(json.dumps(results))


# --- The table --------------------------------------------------------------------------------------------------------
def run(args, cores, *flags):
    """cores None: without the library."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_")}
    with tempfile.TemporaryDirectory() as folder:
        if cores is not None:
            env |= {"LD_PRELOAD": args.library, "TESSERA_REGION_DIR": folder,
                    "TESSERA_LIMITS": f"v1 fixed-share {args.uuid}:{MEMORY_MIB}:{cores}"}
        command = [sys.executable, __file__, "--measure", "--seconds", str(args.seconds), "--only", args.only, *flags]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(args):
    bare, held = [], []
    for i in range(args.pairs):  # who is first changes, as the GPU gets warm
        for runs, cores in [(bare, None), (held, 0)][::-1 if i % 2 else 1]:
            runs.append(run(args, cores))
        ratios = [f"{name} {100 * held[-1][name]['rate'] / bare[-1][name]['rate']:.1f} %" for name in bare[-1]]
        print(f"pair {i + 1} of {args.pairs}: " + ", ".join(ratios), flush=True)
    print("| no limit of cores | bare, steps/s | under the library | ratio of medians |\n| --- | --- | --- | --- |")
    ok = True
    for name in bare[0]:
        b, h = (statistics.median(r[name]["rate"] for r in runs) for runs in (bare, held))
        print(f"| {name} | {b:.1f} | {h:.1f} | {100 * h / b:.1f} % |", flush=True)
        ok = ok and h >= 0.99 * b
    return ok


def limited(args):
    bare, held, seen = run(args, None), run(args, args.cores), run(args, None, "--profile", "--nvml")
    print(f"| cores {args.cores} | throughput, of bare | GPU busy bare: kernels, NVML | GPU time: kernels, NVML | charged, waited |\n"
          "| --- | --- | --- | --- | --- |")
    for name in bare:
        b, h, s = bare[name]["rate"], held[name], seen[name]
        kernels = [1e-4 * s["kernel_us"] * rate for rate in (b, h["rate"])]
        nvml = [s["nvml"] / s["rate"] * rate for rate in (b, h["rate"])]
        print(f"| {name} | {100 * h['rate'] / b:.1f} % | {kernels[0]:.1f}, {nvml[0]:.1f} | {kernels[1]:.1f}, {nvml[1]:.1f} | "
              f"{h['charged']:.1f}, {h['waited']:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library")
    parser.add_argument("--uuid")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", default="", help="workloads whose name begins so")
    parser.add_argument("--cores", type=int, default=50, help="0: only the comparison without a limit")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--nvml", action="store_true")
    args = parser.parse_args()
    if args.measure:
        return measure(args.seconds, args.profile, args.nvml, args.only)
    if args.cores:
        limited(args)
    return 0 if args.pairs == 0 or compare(args) else 1


if __name__ == "__main__":
    sys.exit(main())
