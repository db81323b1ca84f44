"""kill -9 in the middle of a burst: afterwards nothing is allocated twice, nothing is lost, nothing is a phantom."""
import threading

import pytest

from cluster import load, nodes, pods
from cluster.audit import Audit
from cluster.processes import wait_for

PODS = 150
GPUS = "driver version=580.95.05 cuda=13000\n" + "".join(
    f'gpu uuid=GPU-0000000{i}-0000-4000-8000-000000000000 model="NVIDIA A100-SXM4-80GB" memory_mib=81920 sms=108 numa=0 healthy=1\n' for i in range(2))


@pytest.mark.parametrize("victim", ["extender", "scheduler", "webhook", "apiserver", "agent"])
def test_kill_in_the_middle_of_a_burst(cluster, plane, tessera, webhook, extender, scheduler, agent_of, victim):
    # 40 GPUs for 150 half GPUs: the last 70 wait for the first to go.
    for number in range(5):
        nodes.create(cluster, f"node-{number}")
    process = {"extender": extender, "scheduler": scheduler, "webhook": webhook, "apiserver": plane.apiserver}.get(victim)
    if victim == "agent":
        process = agent_of("agent-node")
    capacity = 80 + (4 if victim == "agent" else 0)
    with Audit(cluster, nodes.A100[1]) as audit:
        creator = threading.Thread(target=create_patiently, args=(cluster, PODS))
        creator.start()
        wait_for("some to be bound", lambda: len(audit.holders()) >= 20, interval=0.01)
        process.kill()
        process.start()
        plane.ready()
        creator.join(180)
        assert not creator.is_alive()
        wait_for("the cluster to be full", lambda: len(audit.holders()) == capacity, interval=0.2)
        # Room comes back: the rest follows. A phantom reservation would leave some of them waiting.
        first = [pod["metadata"]["name"] for pod in cluster.list("pods", "default") if pod["spec"].get("nodeName")]
        for name in first:
            cluster.delete("pods", name, grace=0)
        rest = cluster.list("pods", "default")
        assert len(rest) == PODS - len(first)
        wait_for("the rest to be bound", lambda: audit.sees_bound(rest), 120, 0.2)
        audit.check()
    compare_with_api(cluster, tessera, extender)


@pytest.fixture
def agent_of(cluster, tessera):
    """Starts a real agent of a new node with two GPUs."""
    started = []

    def start(name):
        nodes.create(cluster, name, with_inventory=False)
        started.append(tessera.start_agent(name, GPUS))
        nodes.take_over_capacity(cluster, name)
        return started[0]
    yield start
    for agent in started:
        agent.stop()


def create_patiently(api, count):
    """Creates pods as a controller does: again until the API server and the webhook are back."""
    for number in range(count):
        body = pods.slice_pod(f"p-{number:03}", 40000, 50)
        wait_for(body["metadata"]["name"], lambda: api.find("pods", body["metadata"]["name"]) or api.create("pods", body),
                 interval=0.2)


def compare_with_api(api, tessera, extender):
    """What the extender says is allocated is what the pods in the API server hold."""
    with Audit(api, nodes.A100[1]) as audit:
        held = sum(used for (_, what), used in audit.used.items() if what == "memoryMiB")
    wait_for("the extender's sum", lambda: tessera.metric(
        extender, "tessera_extender_gpu_memory_allocated_bytes") == held * 1024 * 1024, interval=0.2)
