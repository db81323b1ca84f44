"""A thousand pods at once on 200 nodes of 8 GPUs, beside the same burst without an extender."""
import json
import os
import random

from cluster import load, nodes, pods
from cluster.audit import Audit
from cluster.processes import wait_for

PODS = int(os.environ.get("E2E_BURST", "1000"))
NODES = 200
PLAIN = "plain-scheduler"
# MiB and percent; five of each thousand MiB-sized slices go on a GPU of 80 GiB by memory or by cores.
SIZES = [(3000, 10), (8000, 20), (20000, 25), (40000, 50), (81920, 100)]


def burst(api, bodies):
    with load.BindTimes(api) as times:
        created = load.create_all(api, bodies)
        wait_for(f"{len(created)} pods to be bound", lambda: created.keys() <= times.at.keys(), 180, 0.2)
    return load.summary(created, times.at)


def test_thousand_pods(cluster, plane, tessera, extender, request):
    for number in range(NODES):
        nodes.create(cluster, f"node-{number:03}", extra={"example.com/gpu-memory": str(8 * nodes.A100[1])})
    chosen = random.Random(1)
    sizes = [chosen.choices(SIZES, [40, 25, 15, 12, 8])[0] for _ in range(PODS)]
    binds = lambda: tessera.metric(extender, "tessera_extender_requests_total", verb="bind")
    good = lambda: tessera.metric(extender, "tessera_extender_requests_total", verb="bind", result="ok")
    before, before_good = binds(), good()
    with Audit(cluster, nodes.A100[1]) as audit:
        ours = burst(cluster, [pods.slice_pod(f"gpu-{i:04}", memory, cores) for i, (memory, cores) in enumerate(sizes)])
        wait_for("the audit", lambda: len(audit.holders()) == PODS)
        audit.check()
    # A pod is bound a moment before the extender counts that it has bound it.
    wait_for("the extender to have counted", lambda: good() - before_good >= PODS)
    attempts = binds() - before
    ours["bind_conflicts_percent"] = round(100 * (attempts - (good() - before_good)) / attempts, 2)
    ours["gpus_used"] = len({uuid for (uuid, _), used in audit.used.items() if used > 0})

    for name in [pod["metadata"]["name"] for pod in cluster.list("pods", "default")]:
        cluster.delete("pods", name, grace=0)
    alone = plane.start_scheduler(PLAIN, {
        "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": PLAIN, "percentageOfNodesToScore": 100}]})
    try:
        plain = burst(cluster, [
            pods.pod(f"plain-{i:04}", [pods.container(limits={"example.com/gpu-memory": memory})], schedulerName=PLAIN)
            for i, (memory, _) in enumerate(sizes)])
    finally:
        alone.stop()
    figures = json.dumps({"with_extender": ours, "without": plain})
    request.config.figures = getattr(request.config, "figures", []) + [f"burst: {figures}"]
    print(figures)
    assert ours["bind_conflicts_percent"] < 1
