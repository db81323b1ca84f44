#!/usr/bin/env python3
"""PyTorch, unmodified, under libtessera.so on a real GPU. Each case is a process of its own, as a container would
start it; a case fails by raising. Started by tests/gpu/run."""
import argparse
import os
import subprocess
import sys
import tempfile
import time

LIMIT_MIB = 4096
MIB = 1 << 20


def held_to_the_limit():
    """import; mem_get_info tells the limit; allocate to the limit; OutOfMemoryError; free; allocate again."""
    import torch
    free, total = torch.cuda.mem_get_info()
    print(f"mem_get_info: free {free / MIB:.1f} MiB, total {total / MIB:.1f} MiB")
    assert total == LIMIT_MIB * MIB, total
    assert free <= total, free
    assert torch.cuda.get_device_properties(0).total_memory == LIMIT_MIB * MIB
    held = []
    try:
        while True:
            held.append(torch.empty(64 * MIB, dtype=torch.uint8, device="cuda"))
            assert len(held) <= LIMIT_MIB // 64, "got more than the limit"
    except torch.cuda.OutOfMemoryError as error:
        print(f"refused after {len(held) * 64} MiB: {type(error).__name__}: {str(error).splitlines()[0][:160]}")
    context = LIMIT_MIB * MIB - free
    print(f"the context is charged {context / MIB:.1f} MiB")
    assert context < 1024 * MIB, context
    # PyTorch takes 20 MiB at a time for what is smaller, and code that is loaded counts too.
    assert len(held) * 64 >= (free / MIB) - 64 - 64, f"only {len(held) * 64} MiB of {free / MIB}"
    held.clear()
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    print(f"after freeing: free {free / MIB:.1f} MiB")
    a = torch.randn(4096, 4096, device="cuda")
    b = (a @ a).sum().item()
    torch.cuda.synchronize()
    print(f"works again: a matrix product on the GPU gave {b:.3f}")


def hold_half():
    """Holds half of the limit until stdin closes; for two_processes."""
    import torch
    block = torch.empty(LIMIT_MIB // 2 * MIB, dtype=torch.uint8, device="cuda")
    print("holding", flush=True)
    sys.stdin.read()
    del block


def two_processes():
    """A second process of the container gets what the first left; a killed one's share comes back at once."""
    import torch
    other = subprocess.Popen([sys.executable, __file__, "--case", "hold_half"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline().strip() == "holding"
    free, _ = torch.cuda.mem_get_info()
    print(f"the other process holds {LIMIT_MIB // 2} MiB; free here {free / MIB:.1f} MiB")
    assert free <= LIMIT_MIB // 2 * MIB, free
    mine = torch.empty(free - 32 * MIB, dtype=torch.uint8, device="cuda")
    try:
        torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
        raise AssertionError("together they got more than the limit")
    except torch.cuda.OutOfMemoryError:
        print("refused: the two share one limit")
    other.kill()
    other.wait()
    more = torch.empty(LIMIT_MIB // 2 * MIB, dtype=torch.uint8, device="cuda")
    print("the other was killed: its half is usable at once")
    del mine, more


def without_limits():
    """No valid limits: CUDA is refused, with one line on stderr."""
    import torch
    try:
        torch.empty(1, device="cuda")
        raise AssertionError("ran without limits")
    except (RuntimeError, AssertionError) as error:
        assert "ran without limits" not in str(error)
        print(f"refused: {str(error).splitlines()[0][:160]}")


def expandable_segments():
    """PyTorch's allocator on virtual memory (cuMemCreate): held to the limit too, or a named gap."""
    import torch
    held = []
    try:
        while len(held) * 64 <= LIMIT_MIB * 2:
            held.append(torch.empty(64 * MIB, dtype=torch.uint8, device="cuda"))
    except torch.cuda.OutOfMemoryError:
        pass
    print(f"got {len(held) * 64} MiB under a limit of {LIMIT_MIB} MiB")
    assert len(held) * 64 <= LIMIT_MIB, "beyond the limit"


def async_allocator():
    """PyTorch on cudaMallocAsync: held to the limit."""
    expandable_segments()


def cost():
    """Median microseconds of calls that the library touches; the same program runs bare and under it."""
    import torch
    import ctypes
    runtime = torch.cuda.cudart()
    del runtime
    cuda = ctypes.CDLL("libcuda.so.1")
    torch.zeros(1, device="cuda")

    def median(function, rounds=2001):
        times = []
        for _ in range(rounds):
            start = time.perf_counter_ns()
            function()
            times.append(time.perf_counter_ns() - start)
        return sorted(times)[rounds // 2] / 1000

    pointer = ctypes.c_uint64()

    def malloc_free():
        assert cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(MIB)) == 0
        assert cuda.cuMemFree_v2(pointer) == 0

    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    x = torch.zeros(32, device="cuda")
    print(f"cuMemAlloc+cuMemFree 1 MiB {median(malloc_free):.2f} us, "
          f"cuMemGetInfo {median(lambda: cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))):.2f} us, "
          f"torch add_ (one launch) {median(lambda: x.add_(1)):.2f} us")
    torch.cuda.synchronize()


def run_case(case, options, limits, extra=None, preload=True):
    with tempfile.TemporaryDirectory() as region:
        env = dict(os.environ, TESSERA_REGION_DIR=region, **(extra or {}))
        if preload:
            env["LD_PRELOAD"] = options.library
            env["TESSERA_LIMITS"] = limits
        result = subprocess.run([sys.executable, __file__, "--case", case], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    name = case + ("" if preload else " (bare)")
    print(f"--- {name}: {'ok' if result.returncode == 0 else 'FAILED'}")
    print(result.stdout, end="")
    ours = [line for line in result.stderr.splitlines() if line.startswith("tessera:")]
    print("\n".join(ours), end="\n" if ours else "")
    if result.returncode != 0:
        print(result.stderr)
    return result.returncode == 0, ours


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case")
    parser.add_argument("--library")
    parser.add_argument("--uuid")
    options = parser.parse_args()
    if options.case:
        globals()[options.case]()
        return 0
    limits = f"v1 fixed-share {options.uuid}:{LIMIT_MIB}:50"
    results = [run_case("held_to_the_limit", options, limits)[0], run_case("two_processes", options, limits)[0]]
    good, lines = run_case("without_limits", options, "")
    results.append(good and len(lines) == 1)
    results.append(run_case("async_allocator", options, limits,
                            {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"})[0])
    results.append(run_case("expandable_segments", options, limits,
                            {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"})[0])
    results.append(run_case("cost", options, limits, preload=False)[0])
    results.append(run_case("cost", options, limits)[0])
    print(f"{sum(results)} of {len(results)} cases ok")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
