#!/usr/bin/env python3
"""PyTorch's work for torch_speed.py, in a process that does what it is told."""
import json
import os
import struct
import sys
import time


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


if __name__ == "__main__":
    worker()
