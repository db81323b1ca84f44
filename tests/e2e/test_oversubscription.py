"""Host memory beyond a share: refused where the webhook does not allow it, in the limits of the container where it does."""
import pytest

from cluster import nodes, pods
from cluster.api import ApiError
from cluster.tessera import assignment
from test_scheduling import bound

WORDS = {"gpu-memory-oversubscribe": "true"}


@pytest.fixture
def generous(cluster, tessera, webhook):
    """The cluster with a webhook that allows it."""
    with tessera.webhook_instead_of(webhook, "webhook-generous", flags=["--allow-memory-oversubscription"]):
        yield cluster


def refusal(cluster, body):
    try:
        cluster.create("pods", body, dryRun="All")
    except ApiError as error:
        return error.message if "denied the request" in error.message else None
    return None


def test_it_is_refused_where_nobody_allowed_it(cluster):
    message = refusal(cluster, pods.slice_pod("p", 3000, 50, annotations=WORDS))
    assert "tessera.dev/gpu-memory-oversubscribe" in message and "--allow-memory-oversubscription" in message
    assert refusal(cluster, pods.slice_pod("p", 3000, 50, annotations={**WORDS, "gpu-memory-oversubscribe": "false"})) is None


def test_a_cap_reaches_the_limits(generous):
    nodes.create(generous, "node-a", gpus=1)
    generous.create("pods", pods.slice_pod("p", 3000, 50, annotations={**WORDS, "gpu-host-memory": "4Gi"}))
    generous.create("pods", pods.slice_pod("q", 2000, 20, annotations=WORDS))
    for name, memory, cores, host in (("p", 3000, 50, 4096), ("q", 2000, 20, 2000)):
        pod = bound(generous, name)
        ((gpu,),) = [container["gpus"] for container in assignment(pod)["containers"]]
        assert (gpu["memoryMiB"], gpu["cores"], gpu["hostMemoryMiB"]) == (memory, cores, host)
        limits = pod["metadata"]["annotations"]["tessera.dev/c0-limits"]
        assert limits == f"v1 fixed-share {gpu['uuid']}:{memory}:{cores}:{host}"


def test_a_pod_that_was_refused_it_cannot_take_it_later(generous):
    nodes.create(generous, "node-a", gpus=1)
    generous.create("pods", pods.slice_pod("p", 1000, schedulingGates=[{"name": "example.com/wait"}]))
    with pytest.raises(ApiError, match="cannot be changed after the pod is created"):
        generous.patch("pods", "p", {"metadata": {"annotations": {"tessera.dev/gpu-memory-oversubscribe": "true"}}})
