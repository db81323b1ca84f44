#!/usr/bin/env python3
"""Frameworks other than plain PyTorch, unmodified, under libtessera.so on a real GPU: PyTorch's CUDA graphs, Triton, CuPy
and JAX. Each case is a process of its own, is held to its limit and meets the framework's ordinary out-of-memory error.
Frameworks that are not installed are named and left out. Started by tests/gpu/run."""
import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile

LIMIT_MIB = 4096
MIB = 1 << 20
# Less than this is more than contexts, kernels and a framework's own workspace explain.
LEAST_MIB = 2560


def told(held_mib, error):
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:110]}"
    print(f"refused after {held_mib} MiB: {text}")
    assert LEAST_MIB <= held_mib <= LIMIT_MIB, f"{held_mib} MiB under a limit of {LIMIT_MIB}"


def torch_graphs():
    """Graphs with private pools: each replays; capturing goes on until the limit refuses."""
    import torch
    graphs, held = [], []
    x = torch.ones(64 * MIB // 4, device="cuda")
    y = x * 2  # warm-up outside of a capture
    del y
    try:
        while len(held) * 64 <= 2 * LIMIT_MIB:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                held.append(x * (len(held) + 1))
            graphs.append(graph)
    except torch.cuda.OutOfMemoryError as error:
        graphs[0].replay()
        torch.cuda.synchronize()
        assert held[0][0].item() == 1
        told((len(graphs) + 1) * 64, error)
        return
    raise AssertionError("never refused")


def triton_kernel():
    """A JIT-compiled kernel runs within the limit; what it works on is held to it."""
    import torch
    import triton
    import triton.language as tl
    globals().update(tl=tl)

    @triton.jit
    def double(pointer, count, block: tl.constexpr):
        offsets = tl.program_id(0) * block + tl.arange(0, block)
        mask = offsets < count
        tl.store(pointer + offsets, tl.load(pointer + offsets, mask=mask) * 2, mask=mask)

    held = []
    try:
        while len(held) * 64 <= 2 * LIMIT_MIB:
            block = torch.ones(64 * MIB // 4, device="cuda")
            double[(triton.cdiv(block.numel(), 1024),)](block, block.numel(), block=1024)
            assert block[-1].item() == 2
            held.append(block)
    except torch.cuda.OutOfMemoryError as error:
        told(len(held) * 64, error)
        return
    raise AssertionError("never refused")


def cupy_blocks(allocator):
    import cupy
    if allocator is not None:
        cupy.cuda.set_allocator(allocator)
    free, total = cupy.cuda.runtime.memGetInfo()
    print(f"memGetInfo: free {free // MIB} MiB, total {total // MIB} MiB")
    assert total == LIMIT_MIB * MIB and free <= total
    held = []
    try:
        while len(held) * 64 <= 2 * LIMIT_MIB:
            held.append(cupy.ones(64 * MIB // 8))
        raise AssertionError("never refused")
    except cupy.cuda.memory.OutOfMemoryError as error:
        assert cupy.asnumpy(held[-1][-1:])[0] == 1  # what is held can be read, without more memory
        told(len(held) * 64, error)


def cupy_pool():
    """CuPy's own memory pool."""
    cupy_blocks(None)


def cupy_managed():
    """Managed memory counts like any."""
    import cupy
    cupy_blocks(cupy.cuda.MemoryPool(cupy.cuda.malloc_managed).malloc)


def cupy_async():
    """CuPy on cudaMallocAsync."""
    import cupy
    cupy_blocks(cupy.cuda.MemoryAsyncPool().malloc)


def jax_blocks():
    import jax
    import jax.numpy as jnp
    held = []
    try:
        while len(held) * 64 <= 2 * LIMIT_MIB:
            held.append(jnp.ones(64 * MIB // 4).block_until_ready())
        raise AssertionError("never refused")
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        assert "RESOURCE_EXHAUSTED" in str(error), error
        told(len(held) * 64, error)


def jax_preallocating():
    """The default: JAX takes its fraction (three quarters) of the memory that it is told of, at once."""
    jax_blocks()


def jax_on_demand():
    """XLA_PYTHON_CLIENT_PREALLOCATE=false."""
    jax_blocks()


CASES = {
    "torch_graphs": ("torch", {}), "triton_kernel": ("triton", {}), "cupy_pool": ("cupy", {}),
    "cupy_managed": ("cupy", {}), "cupy_async": ("cupy", {}), "jax_preallocating": ("jax", {}),
    "jax_on_demand": ("jax", {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95"}),
}


def run_case(case, extra, options):
    with tempfile.TemporaryDirectory() as region:
        env = dict(os.environ, TESSERA_REGION_DIR=region, LD_PRELOAD=options.library, TF_CPP_MIN_LOG_LEVEL="3",
                   TESSERA_LIMITS=f"v1 fixed-share {options.uuid}:{LIMIT_MIB}:100", **extra)
        try:
            result = subprocess.run([sys.executable, __file__, "--case", case], env=env, text=True, capture_output=True,
                                    timeout=120)
        except subprocess.TimeoutExpired:
            print(f"--- {case}: FAILED (120 s)")
            return False
    print(f"--- {case}: {'ok' if result.returncode == 0 else 'FAILED'}\n{result.stdout}", end="")
    if result.returncode != 0:
        print("\n".join(result.stderr.splitlines()[-12:]))
    return result.returncode == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case")
    parser.add_argument("--library")
    parser.add_argument("--uuid")
    options = parser.parse_args()
    if options.case:
        globals()[options.case]()
        return 0
    results = []
    for case, (module, extra) in CASES.items():
        if importlib.util.find_spec(module) is None:
            print(f"--- {case}: {module} is not installed")
        else:
            results.append(run_case(case, extra, options))
    print(f"{sum(results)} of {len(results)} cases ok")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
