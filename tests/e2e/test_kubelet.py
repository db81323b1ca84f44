"""Real containers in a namespace that enforces `restricted`: what Tessera promises inside of them. Needs E2E_KUBELET=1 and a
machine that allows it."""
import json
import os
import pathlib
import shutil
import tempfile

import pytest

from cluster import images, node, pods
from cluster.processes import wait_for
from cluster.tessera import assignment
from conftest import tool

MIB = 1 << 20
NAMESPACE = "tenants"
OUT_OF_MEMORY = 2


@pytest.fixture(scope="module")
def machine(tessera, scheduler):
    """A node with a kubelet."""
    if os.environ.get("E2E_KUBELET", "") in ("", "0"):
        pytest.skip("E2E_KUBELET=1 is not set")
    trial = pathlib.Path(tempfile.mkdtemp(prefix="tessera-e2e-"))
    reason = node.missing(trial)
    shutil.rmtree(trial)
    if reason:
        pytest.skip(f"no kubelet can run on this machine: {reason}")
    machine = node.Node(tessera, tool("containerd"), tool("cni"))
    try:
        yield machine.start()
    finally:
        machine.stop()


@pytest.fixture(scope="module", params=["image", "init"])
def delivery(request, tessera, webhook, machine, version):
    """The way in which the library comes into containers, and a webhook that takes it."""
    if request.param == "image" and version == "1.34":
        pytest.skip("image volumes are off by default before Kubernetes 1.35")
    with tessera.webhook_instead_of(webhook, f"webhook-{request.param}", delivery=request.param):
        yield request.param


@pytest.fixture(scope="module")
def space(plane, delivery):
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    plane.admin.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": label}})
    wait_for("the service account", lambda: plane.admin.find("serviceaccounts", "default", NAMESPACE))
    yield NAMESPACE
    for pod in plane.admin.list("pods", NAMESPACE):
        plane.admin.delete("pods", pod["metadata"]["name"], NAMESPACE)
    wait_for("the kubelet to end all pods", lambda: not plane.admin.list("pods", NAMESPACE), 60, 0.2)
    plane.admin.delete("namespaces", NAMESPACE)
    wait_for("no namespace", lambda: not plane.admin.find("namespaces", NAMESPACE), 60, 0.2)


class Tenant:
    """A pod whose program takes all the memory that it gets and tells what it sees (workload/tenant.cc)."""

    def __init__(self, plane, machine, name, memory_mib=300, cores=50):
        self._plane, self._machine = plane, machine
        body = pods.slice_pod(name, memory_mib, cores, namespace=NAMESPACE, terminationGracePeriodSeconds=1)
        body["spec"]["containers"] = [pods.container(
            image=images.TENANT, securityContext={**pods.RESTRICTED, "readOnlyRootFilesystem": True})]
        self.created = plane.admin.create("pods", body)
        wait_for(f"{name} to run", lambda: self.status()["state"].get("running"), 60, 0.2)

    @property
    def name(self):
        return self.created["metadata"]["name"]

    def pod(self):
        return self._plane.admin.get("pods", self.name, NAMESPACE)

    def annotations(self):
        return self.pod()["metadata"]["annotations"]

    def status(self):
        statuses = self._machine.kubelet.statuses(self.created)
        assert "main" in statuses, pods.events_of(self._plane.admin, self.name, NAMESPACE)
        return statuses["main"]

    def sees(self, restart=0):
        """What the program of the container's start number `restart` told last."""
        lines = self._machine.kubelet.log_of(self.created, "main", restart)
        assert lines, self.status()
        return json.loads(lines[-1])

    def wait(self, what, restart=0, **fields):
        """Until the program sees these; returns all that it sees. A change of limits takes the kubelet a while."""
        def check():
            sees = self.sees(restart)
            assert {key: sees[key] for key in fields} == fields, sees
            return sees
        return wait_for(what, check, 120, 0.2)

    def metric(self, tessera, name):
        return tessera.metric(self._machine.agent, name, namespace=NAMESPACE, pod=self.name, container="main")

    def resize(self, memory_mib):
        """As an administrator does, with kubectl: the limits that the container reads, and the record of them."""
        record = assignment(self.pod())
        record["containers"][0]["gpus"][0]["memoryMiB"] = memory_mib
        self._plane.kubectl("annotate", "pod", self.name, f"--namespace={NAMESPACE}", "--overwrite",
                            f"tessera.dev/c0-limits={limits_text(self, memory_mib)}",
                            f"tessera.dev/assignment={json.dumps(record)}")

    def delete(self):
        self._plane.admin.delete("pods", self.name, NAMESPACE)
        wait_for(f"{self.name} to be gone", lambda: not self._plane.admin.find("pods", self.name, NAMESPACE), 60, 0.2)


def limits_text(tenant, memory_mib):
    return f"v1 fixed-share {tenant.annotations()['tessera.dev/c0-devices']}:{memory_mib}:50"


@pytest.fixture(scope="module")
def tenant(plane, machine, space):
    """One that nobody changes."""
    tenant = Tenant(plane, machine, "tenant")
    tenant.wait("the tenant to be refused", refusal=OUT_OF_MEMORY)
    return tenant


@pytest.fixture
def changed(plane, machine, space):
    """One for this test alone."""
    tenant = Tenant(plane, machine, "changed")
    tenant.wait("the tenant to be refused", refusal=OUT_OF_MEMORY)
    yield tenant
    tenant.delete()


def test_delivery_is_the_one_that_is_tried(tenant, delivery):
    volumes = {volume["name"]: volume for volume in tenant.created["spec"]["volumes"]}
    assert ("image" in volumes["tessera-library"]) == (delivery == "image"), volumes
    names = [container["name"] for container in tenant.created["spec"].get("initContainers", [])]
    assert names == (["tessera-install"] if delivery == "init" else [])


def test_library_is_preloaded(tenant):
    sees = tenant.sees()
    assert sees["LD_PRELOAD"] == "/usr/local/tessera/libtessera.so" and sees["preloaded"], sees
    assert sees["uid"] == 1000 and sees["start"] == 0, sees


def test_limit_is_in_environment_and_file(tenant):
    sees, wanted = tenant.sees(), limits_text(tenant, 300)
    assert tenant.annotations()["tessera.dev/c0-limits"] == wanted
    assert (sees["TESSERA_LIMITS"], sees["limits_file"]) == (wanted, wanted)
    assert sees["NVIDIA_VISIBLE_DEVICES"] == tenant.annotations()["tessera.dev/c0-devices"]


def test_memory_is_refused_at_the_limit(tenant):
    sees = tenant.sees()
    assert (sees["total"], sees["held"], sees["refusal"]) == (300 * MIB, 300 * MIB, OUT_OF_MEMORY), sees
    assert sees["gpus"] == 1, "the other GPU of the node is not this tenant's"


def test_use_is_in_the_agents_metrics(tenant, tessera):
    wait_for("the agent to see the region", lambda: tenant.metric(tessera, "tessera_container_gpu_memory_used_bytes") > 0)
    assert tenant.metric(tessera, "tessera_container_gpu_memory_used_bytes") == 300 * MIB
    assert tenant.metric(tessera, "tessera_container_gpu_memory_limit_bytes") == 300 * MIB
    assert tenant.metric(tessera, "tessera_interceptor_attached") == 1
    assert tenant.metric(tessera, "tessera_container_gpu_memory_denied_total") > 0


def test_limit_grows_without_a_restart(changed):
    changed.resize(500)
    sees = changed.wait("the larger limit", limits_file=limits_text(changed, 500), held=500 * MIB)
    assert sees["total"] == 500 * MIB and sees["refusal"] == OUT_OF_MEMORY, sees
    assert changed.status()["restartCount"] == 0


def test_limit_shrinks_below_use_without_a_restart(changed):
    changed.resize(200)
    sees = changed.wait("the smaller limit", limits_file=limits_text(changed, 200), held=200 * MIB)
    assert sees["total"] == 200 * MIB and sees["refusal"] == OUT_OF_MEMORY, sees
    assert changed.status()["restartCount"] == 0


def test_agent_and_extender_follow_a_changed_limit(changed, plane, tessera, extender):
    allocated = lambda: tessera.metric(extender, "tessera_extender_gpu_memory_allocated_bytes")
    before = MIB * sum(gpu["memoryMiB"] for pod in plane.admin.list("pods") if assignment(pod)
                       for container in assignment(pod)["containers"] for gpu in container["gpus"])
    # The test before has deleted a pod of its own.
    wait_for("the extender's sum of all pods", lambda: allocated() == before)
    changed.resize(500)
    changed.wait("the larger limit", held=500 * MIB)
    wait_for("the agent's limit", lambda: changed.metric(tessera, "tessera_container_gpu_memory_limit_bytes") == 500 * MIB)
    wait_for("the agent's use", lambda: changed.metric(tessera, "tessera_container_gpu_memory_used_bytes") == 500 * MIB)
    wait_for("the extender's sum", lambda: allocated() == before + 200 * MIB)


def test_restarted_container_has_the_same_assignment(changed, machine):
    before, told = changed.annotations(), changed.sees()
    machine.runtime.kill_task(changed.status()["containerID"].removeprefix("containerd://"))
    wait_for("the restart", lambda: changed.status()["restartCount"] == 1, 60, 0.2)
    assert changed.wait("the same as before", restart=1, refusal=OUT_OF_MEMORY, held=300 * MIB) == told
    assert changed.annotations() == before


def test_restarted_container_starts_with_the_limit_that_holds_now(changed, machine):
    changed.resize(400)
    changed.wait("the larger limit", held=400 * MIB)
    machine.runtime.kill_task(changed.status()["containerID"].removeprefix("containerd://"))
    sees = changed.wait("the same again", restart=1, held=400 * MIB)
    assert sees["TESSERA_LIMITS"] == sees["limits_file"] == limits_text(changed, 400)


@pytest.fixture
def open_space(plane, delivery):
    """A namespace that allows hostPath, as pods of isolation mps need."""
    plane.admin.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mps"}})
    wait_for("the service account", lambda: plane.admin.find("serviceaccounts", "default", "mps"))
    yield "mps"
    for pod in plane.admin.list("pods", "mps"):
        plane.admin.delete("pods", pod["metadata"]["name"], "mps")
    wait_for("the kubelet to end all pods", lambda: not plane.admin.list("pods", "mps"), 60, 0.2)
    plane.admin.delete("namespaces", "mps")
    wait_for("no namespace", lambda: not plane.admin.find("namespaces", "mps"), 60, 0.2)


def test_a_client_of_mps_starts_when_its_daemon_answers_and_not_before(plane, tessera, machine, open_space):
    for uuid in node.GPUS:
        wait_for("the agent to make the folder", (tessera.mps_root / uuid / "log").is_dir)
        (tessera.mps_root / uuid / "log/broken").write_text("")
    body = pods.slice_pod("client", 300, 50, namespace=open_space, annotations={"isolation": "mps"},
                          terminationGracePeriodSeconds=1)
    body["spec"]["containers"] = [pods.container(
        image=images.TENANT, securityContext={**pods.RESTRICTED, "readOnlyRootFilesystem": True})]
    client = plane.admin.create("pods", body)
    wait_for("the kubelet to say why", lambda: any(
        'failed to prepare subPath for volumeMount "tessera-mps"' in message for message in pods.events_of(plane.admin, "client", open_space)), 60, 0.2)
    status = lambda: machine.kubelet.statuses(client).get("main", {})
    assert "running" not in status().get("state", {}), status()
    for uuid in node.GPUS:
        (tessera.mps_root / uuid / "log/broken").unlink()
    wait_for("the client to run", lambda: status()["state"].get("running"), 120, 0.2)
    sees = wait_for("the client's words", lambda: json.loads(machine.kubelet.log_of(client, "main", 0)[-1]), 60, 0.2)
    assert sees["mps_daemon"], sees
    assert sees["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] == "50" and sees["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=300M", sees
    assert sees["total"] == 300 * MIB and sees["preloaded"], "the library keeps the limit of the container"
