#!/usr/bin/env python3
"""Tenants of one GPU as clients of an MPS daemon that the agent's code runs: their shares of the whole GPU and the sum,
bare and under libtessera.so, and what memory they get.
Usage: mps.py --library LIB --programs FOLDER --uuid UUID [--seconds S] [--control PROGRAM]
FOLDER has share, paths and mps_daemon (tests/gpu/mps builds them). Every wait is bounded, the daemon quits at the end.
Ends with 1 if a share is beyond its percentage, a sum is below 90, or memory is beyond its limit."""
import argparse
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
LIMIT_MIB = 4096
# A kernel is this many full GPUs of blocks, so that a client with a part of the multiprocessors is not rounded to waves.
WAVES, BLOCK_US = 16, 30
WITHIN = 3


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--uuid", required=True)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--control", default="nvidia-cuda-mps-control")
    return parser.parse_args()


ARGS = parse()
WRONG = []


def program(name):
    return os.path.join(ARGS.programs, name)


def clean_environment():
    return {k: v for k, v in os.environ.items()
            if k != "LD_PRELOAD" and not k.startswith("CUDA_MPS") and (not k.startswith("TESSERA_") or "SIM" in k)}


class Daemon:
    """The agent's supervisor and the MPS daemon that it starts; folders of both are temporary."""

    def __init__(self):
        # Short, since paths of sockets are; and every user passes, as on a node.
        self.root = tempfile.mkdtemp(prefix="tessera-mps-", dir="/tmp")
        os.chmod(self.root, 0o755)
        self.pipe = os.path.join(self.root, "ready", ARGS.uuid, "pipe")
        self.lines = queue.Queue()
        self.most_clients = 0

    def __enter__(self):
        self.process = subprocess.Popen([program("mps_daemon"), self.root, ARGS.uuid, ARGS.control], text=True,
                                        env=clean_environment(), stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        end = time.monotonic() + 30
        try:
            while "MPS daemon is ready" not in self.lines.get(timeout=max(0.01, end - time.monotonic())):
                pass
        except queue.Empty:
            WRONG.append("no MPS daemon after 30 s")
            self.tell_why()
            self.__exit__()
            sys.exit(WRONG[-1])
        return self

    def read(self):
        for line in self.process.stdout:
            print("  daemon:", line.strip(), flush=True)
            if line.startswith("clients "):
                self.most_clients = max(self.most_clients, int(line.split()[1]))
            self.lines.put(line)

    def home(self, name):
        return os.path.join(self.root, ARGS.uuid, name)

    def say(self, command):
        """To the daemon, past the supervisor."""
        try:
            return subprocess.run([ARGS.control], input=command + "\n", text=True, timeout=30, check=False, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=clean_environment() | {
                                      "CUDA_MPS_PIPE_DIRECTORY": self.home("pipe"),
                                      "CUDA_MPS_LOG_DIRECTORY": self.home("log")})
        except subprocess.TimeoutExpired:
            return "no answer in 30 s"

    def tell_why(self):
        print("get_server_list:", self.say("get_server_list"), flush=True)
        print("pipe folder:", sorted(os.listdir(self.home("pipe"))) if os.path.exists(self.home("pipe")) else None)
        for name in ("control.log", "server.log"):
            if os.path.exists(self.home("log/" + name)):
                with open(self.home("log/" + name), encoding="utf-8", errors="replace") as log:
                    print(f"--- {name}, its end\n" + log.read()[-3000:], flush=True)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.reader.join(timeout=5)
        if self.process.returncode != 0:
            WRONG.append(f"mps_daemon ended with {self.process.returncode}")
        if WRONG:
            self.tell_why()
        # Whatever went wrong above, no daemon stays behind.
        if os.path.exists(self.home("pipe/control")):
            print("quit:", self.say("quit"), flush=True)
        shutil.rmtree(self.root, ignore_errors=True)


def start(command, folder, daemon=None, percent=None, limited=False, mps_limit=True):
    """One container: with a daemon a client of it, `limited` under libtessera.so."""
    env = clean_environment()
    # Its daemon has one GPU, so a client sees no other.
    env |= {"CUDA_MPS_PIPE_DIRECTORY": daemon.pipe} if daemon else {"CUDA_VISIBLE_DEVICES": ARGS.uuid}
    if percent is not None:
        env["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] = str(percent)
    if daemon and mps_limit:
        env["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={LIMIT_MIB}M"
    if limited:
        # What the extender's Binding says for a pod of isolation mps: no cores.
        env |= {"LD_PRELOAD": ARGS.library, "TESSERA_REGION_DIR": folder,
                "TESSERA_LIMITS": f"v1 fixed-share {ARGS.uuid}:{LIMIT_MIB}:0"}
    return subprocess.Popen([str(word) for word in command], env=env, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process, text=None):
    """Its output; empty if it failed or hung."""
    try:
        output, errors = process.communicate(text, timeout=10 * ARGS.seconds + 60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        output, errors = "", "hung"
    if process.returncode == 0:
        return output
    WRONG.append(f"{os.path.basename(process.args[0])} failed ({process.returncode}): {errors.strip()[-200:]}")
    print(WRONG[-1], flush=True)
    return ""


def share_of(process):
    words = dict(word.split("=") for word in end(process).split())
    return {key: float(words.get(key, 0)) for key in ("share", "kernel_ns", "blocks")}


def tenants(percents, whole, **how):
    """Greedy ones side by side; their shares of the whole GPU."""
    with tempfile.TemporaryDirectory() as folder:
        at = time.time() + 4
        running = []
        for i, percent in enumerate(percents):
            os.mkdir(os.path.join(folder, str(i)))
            running.append(start([program("share"), "--kernel-us", BLOCK_US, "--blocks", int(whole["blocks"]), "--kernel-ns",
                                  whole["kernel_ns"], "--seconds", ARGS.seconds, "--start-at", at],
                                 os.path.join(folder, str(i)), percent=percent, **how))
        return [share_of(process)["share"] for process in running]


def row(*cells):
    print("| " + " | ".join(c if isinstance(c, str) else f"{c:.1f}" for c in cells) + " |", flush=True)


def shares(whole):
    row("clients", "shares of the GPU, percent", "sum")
    row("---", "---", "---")
    got = tenants([None, None], whole)
    row("two, without MPS and without limits", " + ".join(f"{g:.1f}" for g in got), sum(got))
    with Daemon() as daemon:
        for name, percents, how in [
                ("one", [None], {}), ("two, no percentage", [None, None], {}),
                ("two of 50 %", [50, 50], {}), ("two of 50 %, libtessera.so", [50, 50], {"limited": True}),
                ("30 % and 70 %, libtessera.so", [30, 70], {"limited": True}),
                ("four of 25 %, libtessera.so", [25] * 4, {"limited": True})]:
            got = tenants(percents, whole, daemon=daemon, **how)
            row("MPS: " + name, " + ".join(f"{g:.1f}" for g in got), sum(got))
            for share, percent in zip(got, percents):
                if percent is not None and share > percent + WITHIN:
                    WRONG.append(f"{name}: {share:.1f}")
            if sum(got) < 90:
                WRONG.append(f"{name}: {sum(got):.1f} in all")
        memory(daemon)
        # The supervisor looks every 5 s.
        if ARGS.seconds >= 6 and daemon.most_clients < 2:
            WRONG.append(f"the supervisor saw {daemon.most_clients} clients")


def held_mib(line):
    words = line.split()
    return int(words[1]) // MIB if len(words) > 2 and words[0] == "held" else -1


def memory(daemon):
    """One client asks for 1.5 times the limit by cuMemAlloc, each limit alone and both."""
    row("memory, limit " + str(LIMIT_MIB) + " MiB", "held MiB", "")
    row("---", "---", "---")
    for name, how in [("MPS alone", {}), ("libtessera.so alone", {"limited": True, "mps_limit": False}),
                      ("both", {"limited": True})]:
        with tempfile.TemporaryDirectory() as folder:
            output = end(start([program("paths"), "cuMemAlloc", LIMIT_MIB * MIB * 3 // 2], folder, daemon=daemon,
                               percent=50, **how), "\n")
        held = held_mib((output.splitlines() or [""])[0])
        row(name, str(held), "")
        if not 0 < held <= LIMIT_MIB:
            WRONG.append(f"memory, {name}: {held} MiB")


def main():
    with tempfile.TemporaryDirectory() as folder:
        whole = share_of(start([program("share"), "--kernel-us", BLOCK_US, "--waves", WAVES, "--seconds", 2], folder))
    print(f"one kernel: {whole['blocks']:.0f} blocks, {whole['kernel_ns']:.0f} ns on the whole GPU; alone it gets "
          f"{whole['share']:.1f} %", flush=True)
    if whole["share"] > 0:
        shares(whole)
    print("within bounds" if not WRONG else "off: " + "; ".join(WRONG))
    return 1 if WRONG else 0


if __name__ == "__main__":
    sys.exit(main())
