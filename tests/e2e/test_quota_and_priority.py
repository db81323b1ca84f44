"""What Kubernetes promises about resources holds for GPUs: quota, preemption, gangs."""
import pytest

from cluster import load, nodes, pods
from cluster.api import ApiError
from cluster.audit import Audit
from cluster.processes import wait_for


def test_quota_counts_and_refuses(cluster):
    nodes.create(cluster, "node-a")
    cluster.create("resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "gpus", "namespace": "default"},
        "spec": {"hard": {"requests.tessera.dev/gpu-memory": "10000", "requests.tessera.dev/gpu": "2"}}})
    wait_for("the quota", lambda: cluster.get("resourcequotas", "gpus").get("status", {}).get("hard"))
    # By annotation: the quota sees the resources that the webhook adds.
    cluster.create("pods", pods.slice_pod("p", 6000))
    assert cluster.get("resourcequotas", "gpus")["status"]["used"]["requests.tessera.dev/gpu-memory"] == "6k"
    with pytest.raises(ApiError) as refused:
        cluster.create("pods", pods.slice_pod("q", 5000))
    assert refused.value.code == 403 and "exceeded quota" in refused.value.message
    assert "requests.tessera.dev/gpu-memory=5k" in refused.value.message
    cluster.create("pods", pods.slice_pod("r", 4000))


@pytest.fixture
def priorities(cluster):
    for name, value in (("high", 1000), ("low", 1)):
        if cluster.find("priorityclasses", name) is None:
            cluster.create("priorityclasses", {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                                               "metadata": {"name": name}, "value": value})


def test_preemption_frees_the_gpus_that_are_needed(cluster, priorities):
    """Two GPUs, half full each: by the node's totals a whole GPU is free, on no GPU it is. One low pod must go, one only."""
    nodes.create(cluster, "node-a", gpus=2)
    for name in ("low-a", "low-b"):
        cluster.create("pods", pods.slice_pod(name, 41000, 50, priorityClassName="low",
                                              annotations={"gpu-policy": "spread"}))
        wait_for(name, lambda n=name: pods.bound_node(cluster, n))
    with Audit(cluster, nodes.A100[1]) as audit:
        cluster.create("pods", pods.slice_pod("high", 81000, 100, priorityClassName="high"))
        wait_for("high to be bound", lambda: pods.bound_node(cluster, "high"), 60)
        audit.check()
    left = [pod["metadata"]["name"] for pod in cluster.list("pods", "default")]
    assert len([name for name in left if name.startswith("low")]) == 1, left


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
        wait_for("the other ten", lambda: len(audit.holders()) == 10 and len(cluster.list("pods", "default")) == 10, 60)
        audit.check()
