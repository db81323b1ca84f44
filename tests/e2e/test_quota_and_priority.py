"""What Kubernetes promises about resources holds for GPUs: quota, preemption, gangs."""
import time

import pytest

from cluster import load, nodes, pods
from cluster.api import ApiError
from cluster.audit import Audit
from cluster.processes import wait_for

QUOTA = "quota"


def test_quota_counts_and_refuses(cluster):
    # A namespace of its own: a quota that was deleted may refuse pods for a moment more.
    cluster.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": QUOTA}})
    wait_for("the service account", lambda: cluster.find("serviceaccounts", "default", QUOTA))
    cluster.create("resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "gpus", "namespace": QUOTA},
        "spec": {"hard": {"requests.tessera.dev/gpu-memory": "10000", "requests.tessera.dev/gpu": "2"}}})
    wait_for("the API server to count", lambda: "exceeded quota" in refusal(cluster, slice_of(10001)))
    # By annotation: the quota sees the resources that the webhook adds.
    cluster.create("pods", slice_of(6000))
    assert cluster.get("resourcequotas", "gpus", QUOTA)["status"]["used"]["requests.tessera.dev/gpu-memory"] == "6k"
    message = refusal(cluster, slice_of(5000))
    assert "exceeded quota" in message and "requests.tessera.dev/gpu-memory=5k" in message, message
    cluster.create("pods", slice_of(4000))


def slice_of(memory_mib):
    return pods.slice_pod(f"p-{memory_mib}", memory_mib, namespace=QUOTA)


def refusal(cluster, body):
    """Why the pod may not be created; empty if it may."""
    try:
        cluster.create("pods", body, dryRun="All")
    except ApiError as error:
        assert error.code == 403, error
        return error.message
    return ""


@pytest.fixture
def priorities(cluster):
    for name, value in (("high", 1000), ("low", 1)):
        if cluster.find("priorityclasses", name) is None:
            cluster.create("priorityclasses", {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                               "metadata": {"name": name}, "value": value})


def low_pod(cluster, name, gpu):
    """A bound pod of low priority on half of one GPU; a second younger than the one before."""
    cluster.create("pods", pods.slice_pod(name, 40960, 50, priorityClassName="low",
                                          annotations={"gpu-uuid": nodes.gpu_uuid("node-a", gpu)}))
    wait_for(name, lambda: pods.bound_node(cluster, name))
    time.sleep(1.1)


def low_pods_left(cluster):
    return sorted(pod["metadata"]["name"] for pod in cluster.list("pods", "default")
                  if pod["metadata"]["name"].startswith("low"))


def test_preemption_frees_the_gpus_that_are_needed(cluster, priorities):
    """Two GPUs, two halves each. kube-scheduler would evict the two youngest, which are on different GPUs, and no GPU
    would be free: those on one GPU must go, and only they."""
    nodes.create(cluster, "node-a", gpus=2)
    for name, gpu in (("low-a", 0), ("low-b", 1), ("low-c", 0), ("low-d", 1)):
        low_pod(cluster, name, gpu)
    with Audit(cluster, nodes.A100[1]) as audit:
        cluster.create("pods", pods.slice_pod("high", 81000, 100, priorityClassName="high"))
        wait_for("high to be bound", lambda: pods.bound_node(cluster, "high"))
        audit.check()
    assert low_pods_left(cluster) in (["low-a", "low-c"], ["low-b", "low-d"])


def test_preemption_does_not_help_where_totals_suffice(cluster, priorities):
    """A limit of kube-scheduler: two GPUs, half full each, have room for a whole GPU by the node's totals. So it finds no
    victim that it needs, never asks for ours, and the pod waits with an event that says why."""
    nodes.create(cluster, "node-a", gpus=2)
    for gpu, name in enumerate(("low-a", "low-b")):
        low_pod(cluster, name, gpu)
    cluster.create("pods", pods.slice_pod("high", 81000, 100, priorityClassName="high"))
    wait_for("the event", lambda: any("insufficient GPU memory: 81000 MiB asked, at most 40960 MiB free" in message
                                      for message in pods.events_of(cluster, "high")))
    assert low_pods_left(cluster) == ["low-a", "low-b"] and not pods.bound_node(cluster, "high")
    cluster.delete("pods", "low-a", grace=0)
    wait_for("high to be bound", lambda: pods.bound_node(cluster, "high"))


def test_preemption_spares_its_equals(cluster, priorities):
    nodes.create(cluster, "node-a", gpus=1)
    cluster.create("pods", pods.slice_pod("first", 50000, priorityClassName="high"))
    wait_for("first", lambda: pods.bound_node(cluster, "first"))
    cluster.create("pods", pods.slice_pod("second", 50000, priorityClassName="high"))
    wait_for("second to be refused", lambda: pods.events_of(cluster, "second", reason="FailedScheduling"))
    assert pods.bound_node(cluster, "first") and not pods.bound_node(cluster, "second")


def test_a_gang_does_not_over_commit(cluster):
    """Twenty pods at once for ten places: ten are bound, no GPU is given twice, and the others follow when there is room."""
    nodes.create(cluster, "node-a", gpus=5)
    with Audit(cluster, nodes.A100[1]) as audit:
        load.create_all(cluster, [pods.slice_pod(f"gang-{i:02}", 40000, 50) for i in range(20)])
        wait_for("ten of them", lambda: len(audit.holders()) == 10)
        for pod in cluster.list("pods", "default"):
            if pod["spec"].get("nodeName"):
                cluster.delete("pods", pod["metadata"]["name"], grace=0)
        rest = cluster.list("pods", "default")
        assert len(rest) == 10
        wait_for("the other ten", lambda: audit.sees_bound(rest))
        audit.check()
