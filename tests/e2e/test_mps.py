"""isolation: mps from the request to the daemon: a GPU is in one mode at a time, and the agent has a daemon on those in MPS mode.
NVIDIA's control program is simulated (tests/fakes); in containers: test_kubelet.py."""
import pytest

from cluster import nodes, pods
from cluster.processes import wait_for
from cluster.tessera import assignment
from test_scheduling import bound, told

GPUS = [f"GPU-0000000{i}-0000-4000-8000-000000000000" for i in range(2)]
GPU_FILE = "driver version=580.95.05 cuda=13000\n" + "".join(
    f'gpu uuid={uuid} model="NVIDIA A100-SXM4-80GB" memory_mib=81920 sms=108 numa=0 healthy=1\n' for uuid in GPUS)


def mps_pod(name, cores=50, memory_mib=1000, **fields):
    return pods.slice_pod(name, memory_mib, cores, annotations={"isolation": "mps"}, **fields)


def gpu_of(pod):
    (container,) = assignment(pod)["containers"]
    return container["gpus"][0]["uuid"]


@pytest.fixture
def agent(cluster, tessera):
    """Of a node with two GPUs that take pods of isolation mps."""
    nodes.create(cluster, "mps-node", with_inventory=False)
    agent = tessera.start_agent("mps-node", GPU_FILE, mps=True)
    try:
        wait_for("MPS to be offered", lambda: offered(cluster) == len(GPUS))
        nodes.take_over_capacity(cluster, "mps-node")
        yield agent
    finally:
        agent.stop()
        tessera.stop_mps()


def offered(cluster):
    """How many GPUs take further pods of isolation mps, by the inventory."""
    annotations = cluster.get("nodes", "mps-node")["metadata"].get("annotations", {})
    return annotations.get("tessera.dev/inventory", "").count('"mps":true')


def test_clients_share_a_gpu_and_others_keep_out(cluster, tessera, agent):
    del agent
    for name in ("a", "b"):
        cluster.create("pods", mps_pod(name))
    first, second = bound(cluster, "a"), bound(cluster, "b")
    assert gpu_of(first) == gpu_of(second)
    annotations = first["metadata"]["annotations"]
    assert annotations["tessera.dev/c0-mps-threads"] == "50"
    assert annotations["tessera.dev/c0-mps-memory"] == "0=1000M"
    assert annotations["tessera.dev/c0-limits"] == f"v1 fixed-share {gpu_of(first)}:1000:0", "nothing waits for windows"
    (container,) = first["spec"]["containers"]
    assert {"name": "tessera-mps", "mountPath": "/run/tessera-mps",
            "subPathExpr": "ready/$(NVIDIA_VISIBLE_DEVICES)/pipe"} in container["volumeMounts"]
    cluster.create("pods", pods.slice_pod("in-turns", 1000, 10))
    assert gpu_of(bound(cluster, "in-turns")) != gpu_of(first)
    # Memory and cores are there on the GPU of the other mode only.
    cluster.create("pods", mps_pod("third"))
    told(cluster, "third", "insufficient GPU cores: 50 percent asked, at most 0 percent free")
    cluster.delete("pods", "in-turns", grace=0)
    assert gpu_of(bound(cluster, "third")) != gpu_of(first)
    cluster.create("pods", pods.slice_pod("late", 1000, 10))
    told(cluster, "late", "insufficient GPUs that are empty or in the mode of the pod's isolation: 1 asked, at most 0 on a node")


def test_the_daemon_comes_with_the_first_pod_outlives_the_agent_and_goes_with_the_last(cluster, tessera, agent):
    assert all(tessera.mps_daemon(uuid) is None for uuid in GPUS)
    for name in ("a", "b"):
        cluster.create("pods", mps_pod(name, cores=30))
    uuid = gpu_of(bound(cluster, "a"))
    gate = tessera.mps_root / "ready" / uuid
    daemon = wait_for("the daemon", lambda: tessera.mps_daemon(uuid))
    wait_for("the gate to open", gate.is_symlink)
    assert [tessera.mps_daemon(other) for other in GPUS if other != uuid] == [None]
    (tessera.mps_root / uuid / "log/clients").write_text("11\n12\n")
    agent.kill()
    agent.start()
    wait_for("the clients", lambda: tessera.metric(agent, "tessera_mps_clients", gpu_uuid=uuid) == 2)
    assert tessera.mps_daemon(uuid) == daemon
    cluster.delete("pods", "a", grace=0)
    wait_for("one pod", lambda: tessera.metric(agent, "tessera_gpu_shared_pods", gpu_uuid=uuid) == 1)
    assert gate.is_symlink()
    (tessera.mps_root / uuid / "log/clients").write_text("")
    cluster.delete("pods", "b", grace=0)
    wait_for("the daemon to quit", lambda: tessera.mps_daemon(uuid) is None)
    assert not gate.is_symlink()
    cluster.create("pods", pods.slice_pod("in-turns", 1000, 10))
    bound(cluster, "in-turns")


def test_a_gpu_whose_daemon_has_a_fault_takes_no_further_pod(cluster, tessera, extender, agent):
    cluster.create("pods", mps_pod("a", cores=10))
    uuid = gpu_of(bound(cluster, "a"))
    wait_for("the daemon", lambda: tessera.mps_daemon(uuid))
    (tessera.mps_root / uuid / "log/clients").write_text("11\n")
    (tessera.mps_root / uuid / "log/status").write_text("FAULT\n")
    wait_for("the fault", lambda: tessera.metric(agent, "tessera_mps_fault", gpu_uuid=uuid) == 1)
    wait_for("the inventory", lambda: offered(cluster) == 1)
    tessera.extender_caught_up(extender)
    cluster.create("pods", mps_pod("b", cores=10))
    assert gpu_of(bound(cluster, "b")) != uuid


def test_namespaces_that_forbid_host_paths_forbid_it(cluster, agent):
    del agent
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    cluster.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": labels}})
    wait_for("the service account", lambda: cluster.find("serviceaccounts", "default", "strict"))
    with pytest.raises(Exception, match="hostPath"):
        cluster.create("pods", mps_pod("a", namespace="strict"))
