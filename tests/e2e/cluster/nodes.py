"""Simulated nodes: Node objects as a kubelet and our agent would leave them. Nothing runs on them."""
import json

from cluster.processes import wait_for

A100 = ("NVIDIA A100-SXM4-80GB", 81920)


def gpu_uuid(node, index):
    return f"GPU-{node}-{index}"


def inventory(node, gpus, model, memory_mib):
    """The annotation that an agent writes."""
    return json.dumps({"version": 1, "driver": "580.95.05", "gpus": [
        {"uuid": gpu_uuid(node, i), "index": i, "model": model, "memoryMiB": memory_mib, "cores": 100,
         "numa": i * 2 // gpus, "healthy": True} for i in range(gpus)]})


def create(api, name, gpus=8, model=A100[0], memory_mib=A100[1], cpu="128", memory="1Ti", pods="250", extra=None,
           with_inventory=True):
    """A ready node. `extra`: further capacity. `with_inventory` False: leaves GPUs and their capacity to a real agent."""
    node = {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}}}
    if with_inventory and gpus:
        node["metadata"]["annotations"] = {"tessera.dev/inventory": inventory(name, gpus, model, memory_mib)}
    api.create("nodes", node)
    capacity = {"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": "1Ti", **(extra or {})}
    if with_inventory and gpus:
        capacity |= {"tessera.dev/gpu": str(100 * gpus), "tessera.dev/gpu-memory-percent": str(100 * gpus),
                     "tessera.dev/gpu-memory": str(memory_mib * gpus), "tessera.dev/gpu-cores": str(100 * gpus)}
    status = {"status": {"capacity": capacity, "allocatable": capacity,
                         "conditions": [{"type": "Ready", "status": "True", "reason": "Simulated",
                                         "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                                         "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}
    api.patch("nodes", name, status, None, "status", kind="strategic-merge")
    # NodeRestriction's taint: the controller that would take it off is not running.
    api.patch("nodes", name, {"spec": {"taints": None}}, None)
    return name


def take_over_capacity(api, name):
    """As a kubelet does: the GPUs that a real agent has written into the capacity become allocatable. Waits for them: the
    agent writes the inventory first, and the capacity in a second request."""
    def written():
        capacity = api.get("nodes", name)["status"]["capacity"]
        assert "tessera.dev/gpu" in capacity, capacity
        return capacity
    capacity = wait_for(f"the agent to write the capacity of {name}", written)
    api.patch("nodes", name, {"status": {"allocatable": capacity}}, sub="status")
