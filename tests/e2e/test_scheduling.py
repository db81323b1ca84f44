"""kube-scheduler with our extender: who asks how, and what is in the pod when it is bound."""
import pytest

from cluster import nodes, pods
from cluster.audit import Audit
from cluster.processes import wait_for
from cluster.tessera import assignment


def bound(api, name):
    """The pod once it is bound."""
    def check():
        pod = api.get("pods", name)
        return pod if pod["spec"].get("nodeName") else None
    try:
        return wait_for(f"{name} to be bound", check)
    except AssertionError as error:
        raise AssertionError(f"{error}; events: {pods.events_of(api, name)}") from None


def gpus_of(pod, slot="c0"):
    (container,) = [c for c in assignment(pod)["containers"] if c["slot"] == slot]
    return [(gpu["memoryMiB"], gpu["cores"]) for gpu in container["gpus"]]


WAYS = {
    "annotations": (pods.slice_pod("p", 3000, 50), [(3000, 50)]),
    "resources": (pods.pod("p", [pods.container(limits={"gpu": 1, "gpu-memory": 3000, "gpu-cores": 50})]), [(3000, 50)]),
    "hami": (pods.pod("p", [pods.container(limits={"nvidia.com/gpu": 1, "nvidia.com/gpumem": 3000,
                                                   "nvidia.com/gpucores": 50})]), [(3000, 50)]),
    "percent": (pods.pod("p", [pods.container()], {"gpu-memory": "25%", "gpu-cores": 20}), [(20480, 20)]),
    "multi-gpu": (pods.pod("p", [pods.container()], {"gpu-count": 3, "gpu-memory": "8Gi", "gpu-cores": 40}),
                  [(8192, 40)] * 3),
}


@pytest.mark.parametrize("way", WAYS)
def test_pod_is_scheduled(cluster, way):
    nodes.create(cluster, "node-a")
    body, wanted = WAYS[way]
    cluster.create("pods", body)
    pod = bound(cluster, "p")
    assert pod["spec"]["nodeName"] == "node-a"
    assert gpus_of(pod) == wanted
    devices = pod["metadata"]["annotations"]["tessera.dev/c0-devices"].split(",")
    assert len(set(devices)) == len(wanted)


def test_containers_and_init_containers(cluster):
    nodes.create(cluster, "node-a", gpus=1)
    cluster.create("pods", pods.pod(
        "p", [pods.container("a", {"gpu": 1, "gpu-memory": 30000}), pods.container("b", {"gpu": 1, "gpu-memory": 20000}),
              pods.container("none")],
        init=[pods.container("side", {"gpu": 1, "gpu-memory": 10000}, restartPolicy="Always"),
              pods.container("first", {"gpu": 1, "gpu-memory": 70000})]))
    pod = bound(cluster, "p")
    kinds = {c["slot"]: c["kind"] for c in assignment(pod)["containers"]}
    # Slots count the installer that the webhook may have put first.
    init = [c["name"] for c in pod["spec"]["initContainers"]]
    assert kinds == {"c0": "app", "c1": "app", f"i{init.index('side')}": "sidecar", f"i{init.index('first')}": "init"}
    # 10 000 + 70 000 is the peak; a second pod may have what is left of 81 920, and no more.
    cluster.create("pods", pods.slice_pod("too-much", 1921))
    cluster.create("pods", pods.slice_pod("rest", 1920))
    bound(cluster, "rest")
    assert pods.bound_node(cluster, "too-much") is None


def told(api, name, *texts):
    """Waits for an event of the pod that holds all texts. The extender should know the nodes by then (extender_knows)."""
    def check():
        return any(all(text in message for text in texts) for message in pods.events_of(api, name))
    try:
        wait_for(name, check)
    except AssertionError:
        pytest.fail(f"{name}: {texts} not in {pods.events_of(api, name)}")


def test_too_big_pod_says_what_is_short_and_by_how_much(cluster, tessera, extender):
    """Where a node's totals suffice, and no GPU does: kube-scheduler's event carries the extender's reason."""
    nodes.create(cluster, "node-a", memory_mib=16384)
    tessera.extender_knows(extender, "node-a")
    cluster.create("pods", pods.slice_pod("giant", 90000))
    told(cluster, "giant", "0/1 nodes are available: 1 insufficient GPU memory: 90000 MiB asked, at most 16384 MiB")
    cluster.create("pods", pods.pod("many", [pods.container()], {"gpu-count": 8, "gpu-memory": "1000Mi", "gpu-cores": 60}))
    bound(cluster, "many")
    cluster.create("pods", pods.slice_pod("cores", 1000, 50))
    told(cluster, "cores", "insufficient GPU cores: 50 percent asked, at most 40 percent free")
    assert pods.bound_node(cluster, "giant") is None and pods.bound_node(cluster, "cores") is None


def test_pod_beyond_a_nodes_totals_is_told_as_much(cluster, tessera, extender):
    """Here kube-scheduler itself refuses, without a number, and never asks the extender."""
    nodes.create(cluster, "node-a", gpus=1)
    tessera.extender_knows(extender, "node-a")
    cluster.create("pods", pods.slice_pod("giant", 90000))
    told(cluster, "giant", "Insufficient tessera.dev/gpu-memory")
    told(cluster, "giant", "insufficient GPU memory: 90000 MiB asked, at most 81920 MiB")


def test_pod_without_gpu_never_reaches_the_extender(cluster, tessera, extender):
    nodes.create(cluster, "node-a")
    plain = lambda name: bound(cluster, cluster.create(
        "pods", pods.pod(name, [pods.container()], schedulerName="tessera-scheduler"))["metadata"]["name"])
    # Once this one is bound, the scheduler has heard that the pods of tests before are gone, and asks about none of them.
    plain("first")
    before = tessera.metric(extender, "tessera_extender_requests_total")
    plain("second")
    assert tessera.metric(extender, "tessera_extender_requests_total") == before
    cluster.create("pods", pods.slice_pod("gpu", 1000))
    bound(cluster, "gpu")
    assert tessera.metric(extender, "tessera_extender_requests_total") > before


def test_binding_writes_the_assignment_and_nothing_else(cluster):
    """The pod as the webhook left it, and as it is bound, differ in what a Binding may write."""
    nodes.create(cluster, "node-a")
    with Audit(cluster, nodes.A100[1]) as audit:
        created = cluster.create("pods", pods.slice_pod("p", 3000, 50))
        pod = bound(cluster, "p")
        wait_for("the audit", lambda: audit.holders())
        audit.check()
    ours = {key for key in pod["metadata"]["annotations"] if key not in created["metadata"]["annotations"]}
    assert ours == {"tessera.dev/assignment", "tessera.dev/c0-devices", "tessera.dev/c0-limits"}
    del created["spec"]["tolerations"], pod["spec"]["tolerations"]
    assert {**created["spec"], "nodeName": "node-a"} == pod["spec"]
    assert created["metadata"]["labels"].items() <= pod["metadata"]["labels"].items()
    writers = {entry["manager"] for entry in pod["metadata"]["managedFields"]}
    assert not any("tessera" in writer for writer in writers - {"tessera-e2e", "tessera-extender"}), writers
