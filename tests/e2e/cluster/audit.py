"""Watches every pod from a moment on and keeps the books: what is assigned on which GPU, at each event."""
import collections
import threading

from cluster.tessera import assignment


def reservation(record):
    """(uuid -> (memory, cores)) that an assignment holds by Kubernetes' rule: apps and sidecars add up, an init
    container needs its own and what sidecars before it hold, and the larger of both counts."""
    running, peak, sidecars = collections.Counter(), collections.Counter(), collections.Counter()
    for container in sorted(record["containers"], key=lambda c: (c["slot"][0] != "i", int(c["slot"][1:]))):
        for gpu in container["gpus"]:
            for kind in ("memoryMiB", "cores"):
                key = (gpu["uuid"], kind)
                if container["kind"] == "init":
                    peak[key] = max(peak[key], sidecars[key] + gpu[kind])
                else:
                    running[key] += gpu[kind]
                    if container["kind"] == "sidecar":
                        sidecars[key] += gpu[kind]
    return {key: max(running[key], peak[key]) for key in running.keys() | peak.keys()}


class Audit:
    """Use as a context. `problems` must stay empty."""

    def __init__(self, api, memory_mib, cores=100):
        """`memory_mib`: of each GPU, by uuid, or one number for all."""
        self._api, self._memory, self._cores = api, memory_mib, cores
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._held = {}
        self.used = collections.Counter()
        self.most_used = collections.Counter()
        self.problems = []
        self._lock = threading.Lock()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30), "the audit saw no list of pods"
        return self

    def __exit__(self, *_):
        self._stop.set()
        # The watch wakes up at its next line: a pod of ours is one.
        self._thread.join(0.1)

    def _run(self):
        try:
            for kind, seen in self._api.follow("pods", None, self._stop):
                with self._lock:
                    if kind == "LIST":
                        self._compare(seen)
                    else:
                        self._see(kind, seen)
                self._ready.set()
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(f"the audit ended: {error!r}")

    def _compare(self, pods):
        """After a gap: who is not in the list is gone."""
        there = {pod["metadata"]["uid"] for pod in pods}
        for uid in [uid for uid in self._held if uid not in there]:
            self.used.subtract(self._held.pop(uid))
        for pod in pods:
            self._see("MODIFIED", pod)

    def _see(self, kind, pod):
        uid, meta = pod["metadata"]["uid"], pod["metadata"]
        ours = meta.get("labels", {}).get("tessera.dev/managed") == "true"
        node = pod["spec"].get("nodeName")
        record = assignment(pod)
        if ours and bool(node) != bool(record):
            self.problems.append(f"{meta['name']}: node {node!r} but assignment {record!r}")
        over = kind == "DELETED" or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        held = {} if over or not record else reservation(record)
        if held and record["node"] != node:
            self.problems.append(f"{meta['name']}: bound to {node}, assigned on {record['node']}")
        before = self._held.pop(uid, {})
        if before and held and before != held:
            self.problems.append(f"{meta['name']}: its assignment changed from {before} to {held}")
        self.used.subtract(before)
        self.used.update(held)
        if held:
            self._held[uid] = held
        for key in held:
            self.most_used[key] = max(self.most_used[key], self.used[key])
            uuid, what = key
            memory = self._memory if isinstance(self._memory, int) else self._memory[uuid]
            capacity = self._cores if what == "cores" else memory
            if self.used[key] > capacity:
                self.problems.append(f"{uuid}: {self.used[key]} {what} of {capacity} after {meta['name']}")

    def holders(self):
        with self._lock:
            return dict(self._held)

    def sees_bound(self, pods):
        """True once the watch has told that these pods hold GPUs, and nobody else."""
        return set(self.holders()) == {pod["metadata"]["uid"] for pod in pods}

    def check(self):
        assert not self.problems, "\n".join(self.problems[:20])
