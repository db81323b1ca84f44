"""Many pods at once, and how they fared."""
import concurrent.futures
import statistics
import threading
import time


def create_all(api, bodies, threads=16):
    """Creates pods from many connections; returns name -> time when the API server had answered."""
    created = {}

    def one(body):
        api.create("pods", body)
        created[body["metadata"]["name"]] = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(one, body) for body in bodies]:
            done.result()
    return created


class BindTimes:
    """Use as a context: name -> time when a watch told that the pod is bound."""

    def __init__(self, api, namespace="default"):
        self._api, self._namespace = api, namespace
        self._stop, self._ready = threading.Event(), threading.Event()
        self.at = {}

    def __enter__(self):
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(30), "no list of pods"
        return self

    def __exit__(self, *_):
        self._stop.set()

    def _run(self):
        for kind, seen in self._api.follow("pods", self._namespace, self._stop):
            now = time.monotonic()
            for pod in seen if kind == "LIST" else [seen]:
                if pod["spec"].get("nodeName"):
                    self.at.setdefault(pod["metadata"]["name"], now)
            self._ready.set()


def summary(created, bound):
    """Figures of a burst: pods a second from the first creation to the last binding, and milliseconds from a pod's
    creation to its binding."""
    waits = sorted(1000 * (bound[name] - created[name]) for name in created)
    # A pod may be seen bound before the answer to its creation was.
    waits = [max(0.0, wait) for wait in waits]
    seconds = max(bound[name] for name in created) - min(created.values())
    return {"pods": len(created), "pods_per_second": round(len(created) / seconds, 1),
            "latency_ms": {"p50": round(statistics.median(waits)), "p99": round(waits[int(len(waits) * 0.99) - 1]),
                           "max": round(waits[-1])}}
