"""What tenants and agents may not do, tried with the rights that they have in a cluster."""
import json

import pytest

from cluster import nodes, pods
from cluster.api import ApiError
from cluster.processes import wait_for
from cluster.tessera import NAMESPACE, assignment


@pytest.fixture
def tenant(cluster, request):
    """A user with the role `edit` in the namespace default; of this test alone, as the API server may not have heard yet
    that a right is taken away."""
    user = cluster.as_user(f"tenant-of-{request.node.name}")
    cluster.delete("rolebindings", "tenant-edit")
    cluster.create("rolebindings", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "tenant-edit", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.user}]})
    nodes.create(cluster, "node-a")

    def made():
        return user.create("pods", pods.slice_pod("p", 3000, 50))
    wait_for("the tenant's rights", made)
    wait_for("bound", lambda: pods.bound_node(cluster, "p"))
    wait_for("the API server to have learned of the policy", lambda: policy_holds(user))
    yield user
    cluster.delete("rolebindings", "tenant-edit")


def policy_holds(user, resource="pods", name="p", text="tessera.dev/"):
    trial = {"metadata": {"annotations": {"tessera.dev/trial": "x"}}}
    try:
        user.patch(resource, name, trial, dryRun="All")
    except ApiError as error:
        return text in error.message
    return False


def refused(action, *texts, code=None):
    with pytest.raises(ApiError) as error:
        action()
    assert code is None or error.value.code == code, error.value
    assert all(text in error.value.message for text in texts), error.value


def annotate(user, sub=None, **values):
    return lambda: user.patch("pods", "p", {"metadata": {"annotations": {
        f"tessera.dev/{key.replace('_', '-')}": value for key, value in values.items()}}}, sub=sub)


def test_annotations_cannot_be_changed_added_or_removed(cluster, tenant):
    record = assignment(cluster.get("pods", "p"))
    for action in (annotate(tenant, assignment="{}"), annotate(tenant, c0_devices="GPU-HIJACKED"),
                   annotate(tenant, c0_limits="v1 fixed-share GPU-x:81920:100"), annotate(tenant, c7_devices="GPU-x"),
                   annotate(tenant, assignment=None), annotate(tenant, gpu_memory="80000Mi")):
        refused(action, "annotations under tessera.dev/ cannot be changed after the pod is created")
    whole = tenant.get("pods", "p")
    whole["metadata"]["annotations"] = {}
    refused(lambda: tenant.update("pods", whole), "annotations under tessera.dev/")
    refused(lambda: tenant.patch("pods", "p", {"metadata": {"labels": {"tessera.dev/managed": None}}}),
            "tessera.dev/managed")
    # What is not ours may change.
    tenant.patch("pods", "p", {"metadata": {"annotations": {"example.com/note": "fine"}}})
    assert assignment(cluster.get("pods", "p")) == record


def test_no_other_isolation_by_a_word_of_hami(cluster, tenant):
    """The webhook allows an isolation and equips the pod for it; the scheduler would read what a tenant wrote since."""
    made = tenant.create("pods", pods.slice_pod("q", 1000, 10, schedulingGates=[{"name": "example.com/wait"}]))
    change = lambda value: lambda: tenant.patch("pods", "q", {"metadata": {"annotations": {"nvidia.com/vgpu-mode": value}}})
    refused(change("mps"), "nvidia.com/vgpu-mode")
    assert "nvidia.com/vgpu-mode" not in made["metadata"]["annotations"]
    # Pods without a GPU are not ours.
    tenant.create("pods", pods.pod("plain", [pods.container()]))
    tenant.patch("pods", "plain", {"metadata": {"annotations": {"nvidia.com/vgpu-mode": "mps"}}})


def test_many_annotations_cost_the_api_server_little(cluster, plane, tenant):
    """Nobody may keep the API server busy with a pod of his own: each update of it, a kubelet's too, is judged."""
    for number, name in ((1001, "many"), (40000, "absurdly-many")):
        gates = [{"name": "example.com/wait"}]
        tenant.create("pods", pods.pod(name, [pods.container()], schedulingGates=gates) | {"metadata": {
            "name": name, "annotations": {f"a{i}": "" for i in range(number)}}})
        before = plane.apiserver.cpu_seconds()
        cluster.patch("pods", name, {"status": {"message": "as a kubelet does"}}, sub="status")
        refused(lambda n=name: tenant.patch("pods", n, {"metadata": {"annotations": {"a0": "x"}}}), "more than 1000 annotations")
        used = plane.apiserver.cpu_seconds() - before
        assert used < 10, f"{used:.1f} s of CPU; each took 20 s when annotations were walked over"


def test_limits_are_changed_by_those_who_are_granted_it(cluster, tenant):
    """By the verb update on assignments.tessera.dev, in the whole cluster. Everything else stays as it was bound."""
    record = assignment(cluster.get("pods", "p"))
    record["containers"][0]["gpus"][0]["memoryMiB"] = 4000
    record, limits = json.dumps(record), "v1 fixed-share GPU-node-a-0:4000:50"
    change = annotate(tenant, assignment=record, c0_limits=limits)

    def grant(kind, name, rules):
        body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        if rules:
            cluster.create("clusterroles", {**body, "kind": "ClusterRole", "rules": rules})
        cluster.create(kind.lower() + "s", {
            **body, "roleRef": reference,
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": tenant.user}]}, "default")
    try:
        # The ruler of a namespace, with every right there.
        grant("RoleBinding", "cluster-admin", None)
        wait_for("the ruler's rights", lambda: tenant.list("rolebindings", "default"))
        refused(change, "assignments.tessera.dev")
        grant("ClusterRoleBinding", "e2e-resize", [
            {"apiGroups": ["tessera.dev"], "resources": ["assignments"], "verbs": ["update"]}])
        wait_for("the right to change limits", change)
        annotations = cluster.get("pods", "p")["metadata"]["annotations"]
        assert annotations["tessera.dev/c0-limits"] == limits and annotations["tessera.dev/assignment"] == record
        for other in (annotate(tenant, c0_devices="GPU-x"), annotate(tenant, gpu_memory="1Mi"),
                      annotate(tenant, c0_limits=None), annotate(tenant, c9_limits="v1 fixed-share GPU-x:1:1")):
            refused(other, "annotations under tessera.dev/ cannot be changed")
    finally:
        cluster.delete("rolebindings", "cluster-admin")
        cluster.delete("clusterrolebindings", "e2e-resize")
        cluster.delete("clusterroles", "e2e-resize")


def test_status_is_no_way_round(cluster, tenant):
    """With the rights of a kubelet: metadata can be written through status."""
    refused(annotate(cluster, sub="status", c0_devices="GPU-HIJACKED"), "annotations under tessera.dev/")


def test_a_tenant_cannot_bind(cluster, tenant):
    made = tenant.create("pods", pods.slice_pod("q", 1000, schedulingGates=[{"name": "example.com/wait"}]))
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {
        "name": "q", "uid": made["metadata"]["uid"], "annotations": {"tessera.dev/c0-devices": "GPU-x"}},
        "target": {"kind": "Node", "name": "node-a"}}
    refused(lambda: tenant.create_sub("pods", "q", "binding", binding), "cannot create resource", code=403)


def test_environment_of_limits_cannot_be_set(cluster, tenant):
    """A tenant's own values lose: the last word is our fieldRef."""
    for name in ("NVIDIA_VISIBLE_DEVICES", "TESSERA_LIMITS"):
        made = tenant.create("pods", pods.pod(
            f"env-{name.lower().replace('_', '-')}", [pods.container(env=[{"name": name, "value": "all"}])],
            {"gpu-memory": "1000Mi"}))
        entries = [entry for entry in made["spec"]["containers"][0]["env"] if entry["name"] == name]
        assert len(entries) == 1 and "value" not in entries[0] and "fieldRef" in entries[0]["valueFrom"], entries
    refused(lambda: tenant.create("pods", pods.pod("q", [pods.container()], {"gpu-memory": "1000Mi", "c0-limits": "x"})),
            "tessera.dev/c0-limits")
    # Nor after creation: a container's environment never changes.
    refused(lambda: tenant.patch("pods", "p", [{"op": "add", "path": "/spec/containers/0/env/-",
                                                "value": {"name": "TESSERA_LIMITS", "value": "x"}}], kind="json"))


def test_an_agent_patches_its_own_node_only(cluster, tessera):
    for name in ("node-a", "node-b"):
        nodes.create(cluster, name)
    agent = cluster.with_token(tessera.token("tessera-agent", "node-a"))
    change = {"metadata": {"annotations": {"tessera.dev/inventory": nodes.inventory("node-a", 1, *nodes.A100)}}}
    wait_for("the API server to have learned of the policy",
             lambda: policy_holds(agent, "nodes", "node-b", "an agent may change its own node only"))
    agent.patch("nodes", "node-a", change)
    agent.patch("nodes", "node-a", {"status": {"capacity": {"tessera.dev/gpu": "100"}}}, sub="status")
    for action in (lambda: agent.patch("nodes", "node-b", change),
                   lambda: agent.patch("nodes", "node-b", {"status": {"capacity": {"tessera.dev/gpu": "1"}}}, sub="status"),
                   lambda: cluster.with_token(tessera.token("tessera-agent")).patch("nodes", "node-a", change)):
        refused(action, "an agent may change its own node only")
    for action in (lambda: agent.patch("nodes", "node-a", {"metadata": {"labels": {"role": "x"}}}),
                   lambda: agent.patch("nodes", "node-a", {"spec": {"unschedulable": True}}),
                   lambda: agent.patch("nodes", "node-a", {"metadata": {"annotations": {"example.com/x": "y"}}}),
                   lambda: agent.patch("nodes", "node-a", {"status": {"capacity": {"cpu": "1000"}}}, sub="status"),
                   lambda: agent.patch("nodes", "node-a", {"status": {"conditions": []}}, sub="status"),
                   lambda: agent.patch("nodes", "node-a", {"metadata": {"finalizers": ["example.com/stays"]}}),
                   # Garbage collection deletes what names an owner that is not there.
                   lambda: agent.patch("nodes", "node-a", {"metadata": {"ownerReferences": [
                       {"apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "00000000-0000-4000-8000-000000000000"}]}}),
                   # Where the API server connects to for exec and logs.
                   lambda: agent.patch("nodes", "node-a", {"status": {"addresses": [
                       {"type": "InternalIP", "address": "192.0.2.7"}]}}, sub="status"),
                   lambda: agent.patch("nodes", "node-a", {"status": {"daemonEndpoints": {
                       "kubeletEndpoint": {"Port": 4444}}}}, sub="status"),
                   lambda: agent.patch("nodes", "node-a", {"status": {"allocatable": {"cpu": "1000"}}}, sub="status")):
        refused(action, "an agent may change nothing of its node but")


def test_our_components_have_no_more_rights_than_they_use(cluster, tessera):
    nodes.create(cluster, "node-a")
    webhook = cluster.with_token(tessera.token("tessera-webhook"))
    for resource in ("pods", "nodes", "secrets"):
        refused(lambda: webhook.list(resource), "forbidden", code=403)
    extender = cluster.with_token(tessera.token("tessera-extender"))
    refused(lambda: extender.list("secrets", NAMESPACE), "forbidden", code=403)
    refused(lambda: extender.patch("nodes", "node-a", {"metadata": {"labels": {"x": "y"}}}), "forbidden", code=403)
