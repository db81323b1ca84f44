"""Pods as tenants write them."""

RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
              "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}


def container(name="main", limits=None, **fields):
    """`limits`: GPU resources, without the prefix tessera.dev/ where the name holds no slash."""
    limits = {key if "/" in key else f"tessera.dev/{key}": str(value) for key, value in (limits or {}).items()}
    return {"name": name, "image": "registry.invalid/app:1", **({"resources": {"limits": limits}} if limits else {}),
            **fields}


def pod(name, containers, annotations=None, namespace="default", init=None, **spec):
    """`annotations`: ours, without the prefix tessera.dev/ where the key holds no slash."""
    annotations = {key if "/" in key else f"tessera.dev/{key}": str(value)
                   for key, value in (annotations or {}).items()}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace,
                         **({"annotations": annotations} if annotations else {})},
            "spec": {"containers": containers, "terminationGracePeriodSeconds": 0,
                     **({"initContainers": init} if init else {}), **spec}}


def slice_pod(name, memory_mib, cores=None, **fields):
    """The usual case: a part of one GPU, by annotations."""
    annotations = {"gpu-memory": f"{memory_mib}Mi", **({"gpu-cores": cores} if cores else {})}
    return pod(name, [container()], {**annotations, **fields.pop("annotations", {})}, **fields)


def bound_node(api, name, namespace="default"):
    return api.get("pods", name, namespace)["spec"].get("nodeName")


def events_of(api, name, namespace="default", reason=None):
    """Messages of the pod's events; not those of an earlier pod of this name, which may come late."""
    uid = api.get("pods", name, namespace)["metadata"]["uid"]
    selector = f"involvedObject.uid={uid}" + (f",reason={reason}" if reason else "")
    return [event["message"] for event in api.list("events", namespace, fieldSelector=selector)]
