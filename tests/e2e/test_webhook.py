"""The mutating webhook behind a real API server: who calls it, what it does, and what its absence costs whom."""
import pytest

from cluster import nodes, pods
from cluster.api import ApiError
from cluster.processes import wait_for
from cluster.tessera import NAMESPACE


def reviews(tessera, webhook):
    return tessera.metric(webhook, "tessera_webhook_requests_total")


def environment(container):
    return {entry["name"]: entry for entry in container.get("env", [])}


def test_gpu_pod_is_made_runnable(api, webhook):
    made = api.create("pods", pods.slice_pod("p", 3000, 50))
    (main,) = made["spec"]["containers"]
    assert made["spec"]["schedulerName"] == "tessera-scheduler"
    assert made["metadata"]["labels"]["tessera.dev/managed"] == "true"
    assert environment(main)["LD_PRELOAD"]["value"] == "/usr/local/tessera/libtessera.so"
    field = environment(main)["NVIDIA_VISIBLE_DEVICES"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.annotations['tessera.dev/c0-devices']"
    assert main["resources"]["limits"]["tessera.dev/gpu-memory"] == "3k"  # as the API server writes 3000


@pytest.mark.parametrize("verb", ["create", "update"])
def test_pods_without_gpu_cause_no_call(api, tessera, webhook, verb):
    before = reviews(tessera, webhook)
    api.create("pods", pods.pod("plain", [pods.container()]))
    if verb == "update":
        api.patch("pods", "plain", {"metadata": {"labels": {"seen": "yes"}}})
    assert reviews(tessera, webhook) == before
    api.create("pods", pods.slice_pod("gpu", 1000))
    # Kubernetes 1.34 asks once more, as its own plugins changed the pod after us.
    assert reviews(tessera, webhook) - before in (1, 2)


def test_dry_run_is_mutated_and_stores_nothing(api, webhook):
    made = api.create("pods", pods.slice_pod("p", 1000), dryRun="All")
    assert made["spec"]["schedulerName"] == "tessera-scheduler"
    assert api.find("pods", "p") is None


def test_refusals_reach_the_tenant(api, webhook):
    for body, text in [
            (pods.slice_pod("p", 1000, nodeName="node-a"), "nodeName"),
            (pods.slice_pod("p", 1000, 101), "gpu-cores"),
            (pods.pod("p", [pods.container()], {"gpu-memory": "1000Mi", "assignment": "{}"}), "tessera.dev/assignment"),
            (pods.pod("p", [pods.container(securityContext={"privileged": True})], {"gpu-memory": "1000Mi"}), "privileged")]:
        with pytest.raises(ApiError) as refused:
            api.create("pods", body)
        assert text in refused.value.message and 'admission webhook "pods.tessera.dev" denied' in refused.value.message


@pytest.fixture
def injector(plane, tessera):
    """Another mutating webhook, whose name sorts behind ours: puts a container before all others."""
    from cluster.injector import Injector
    with Injector(plane) as running:
        yield running


def test_reinvocation_after_another_injector(api, webhook, injector):
    made = api.create("pods", pods.pod("p", [pods.container()], {"gpu-memory": "1000Mi", "container": "main"},
                                       namespace="default"))
    assert injector.calls == 1
    names = [container["name"] for container in made["spec"]["containers"]]
    assert names == ["injected", "main"]
    injected, main = made["spec"]["containers"]
    # Slots are places: what was c0 is c1 now, and the newcomer sees no GPU.
    field = environment(main)["NVIDIA_VISIBLE_DEVICES"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.annotations['tessera.dev/c1-devices']"
    assert environment(injected)["NVIDIA_VISIBLE_DEVICES"]["value"] == "void"
    assert [volume["name"] for volume in made["spec"]["volumes"] if "region" in volume["name"]] == ["tessera-region-c1"]


def test_debug_container_sees_no_gpu(cluster, webhook):
    nodes.create(cluster, "node-a")
    cluster.create("pods", pods.slice_pod("p", 1000))
    wait_for("bound", lambda: pods.bound_node(cluster, "p"))
    made = cluster.patch("pods", "p", {"spec": {"ephemeralContainers": [
        {"name": "debug", "image": "registry.invalid/cuda:1", "targetContainerName": "main"}]}},
        sub="ephemeralcontainers", kind="strategic-merge")
    (debug,) = made["spec"]["ephemeralContainers"]
    assert environment(debug)["NVIDIA_VISIBLE_DEVICES"]["value"] == "void"


def test_webhook_down_refuses_gpu_pods_and_only_those(api, tessera, webhook):
    webhook.kill()
    try:
        api.create("pods", pods.pod("plain", [pods.container()]))
        # Our own pods must be creatable while we are down.
        own = pods.slice_pod("own", 1000, namespace=NAMESPACE)
        api.create("pods", own)
        api.delete("pods", "own", NAMESPACE, grace=0)
        with pytest.raises(ApiError) as refused:
            api.create("pods", pods.slice_pod("gpu", 1000))
        assert refused.value.code == 500 and "failed calling webhook" in refused.value.message
    finally:
        webhook.start()
        tessera.reached(webhook)
