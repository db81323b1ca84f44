#!/usr/bin/env python3
"""manifests/ against the code: YAML parses, and ports, paths, names, flags, env and annotation keys are those of the
constants; deployments are hardened (style D.3). Usage: check_manifests.py REPOSITORY."""
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(sys.argv[1])
MANIFESTS = ROOT / "manifests"
CHART = MANIFESTS / "helm/tessera"
NAMES_H = (ROOT / "common/contract/names.h").read_text(encoding="utf-8")
PROBLEMS = []
CHECKS = 0
# Keys of ours that only people and other tools read.
EXTRA_KEYS = {"tessera.dev/scrapes"}
COMPONENTS = {"webhook": "kWebhookPort", "agent": "kAgentPort", "extender": "kExtenderPort"}
# Component -> port of its second listener, for health and metrics.
METRICS_PORTS = {"extender": "kExtenderMetricsPort"}


def expect(condition, where, message):
    global CHECKS
    CHECKS += 1
    if not condition:
        PROBLEMS.append(f"{where}: {message}")


def constants():
    """Name -> value of the string and int constants of names.h; an alias has its target's value."""
    found = {}
    pattern = r'inline constexpr (?:std::string_view|const char\*|int) (k\w+)\s*=\s*("[^"]*"|\d+|k\w+);'
    for name, value in re.findall(pattern, NAMES_H):
        found[name] = found[value] if value in found else value.strip('"')
    return found


NAMES = constants()


def load_all():
    objects = {}
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        name = str(path.relative_to(MANIFESTS))
        if name.startswith("helm/"):
            continue
        try:
            documents = [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d is not None]
        except yaml.YAMLError as error:
            PROBLEMS.append(f"{name}: {error}")
            continue
        expect(documents, name, "holds no object")
        objects[name] = documents
    return objects


def base_files(objects):
    """The kustomize base: one object per file, named <component>-<kind>.yaml."""
    base = {}
    for name, documents in objects.items():
        if "/" in name or name == "kustomization.yaml":
            continue
        expect(len(documents) == 1, name, "must hold one object")
        base[name] = documents[0]
        kind = documents[0]["kind"]
        stem = name[:-len(".yaml")].rsplit("-", 1)[-1]
        expect(stem.lower().endswith(kind.lower()), name, f"holds a {kind}, which its name does not say")
        labels = documents[0]["metadata"].get("labels", {})
        expect(labels.get("app.kubernetes.io/part-of") == "tessera", name, "lacks the label part-of")
    return base


def check_kustomization(objects, base):
    listed = objects["kustomization.yaml"][0]["resources"]
    expect(sorted(listed) == sorted(base), "kustomization.yaml",
           f"differs from the folder: {sorted(set(listed) ^ set(base))}")
    expect(len(listed) == len(set(listed)), "kustomization.yaml", "lists a file twice")


def pod_specs(base):
    for name, item in base.items():
        if item["kind"] in ("Deployment", "DaemonSet"):
            yield name, item["spec"]["template"]["spec"]


def check_hardening(base):
    seen = 0
    for name, spec in pod_specs(base):
        pod_security = spec.get("securityContext", {})
        expect(pod_security.get("seccompProfile", {}).get("type") == "RuntimeDefault", name, "seccompProfile")
        if not name.startswith("agent-"):
            expect(pod_security.get("runAsNonRoot") is True, name, "runAsNonRoot")
            expect(not any("hostPath" in v for v in spec.get("volumes", [])), name, "has a hostPath")
        for container in spec["containers"]:
            seen += 1
            where = f"{name} {container['name']}"
            security = container.get("securityContext", {})
            expect(security.get("allowPrivilegeEscalation") is False, where, "allowPrivilegeEscalation")
            expect(security.get("readOnlyRootFilesystem") is True, where, "readOnlyRootFilesystem")
            expect(security.get("capabilities", {}).get("drop") == ["ALL"], where, "capabilities.drop")
            for part in ("requests", "limits"):
                resources = container.get("resources", {}).get(part, {})
                expect({"cpu", "memory"} <= set(resources), where, f"resources.{part}")
            for probe in ("livenessProbe", "readinessProbe"):
                expect(probe in container, where, f"lacks a {probe}")
            expect(":" in container["image"].rsplit("/", 1)[-1], where, "its image has no tag")
    expect(seen >= 4, "manifests", "too few containers were looked at")


def known_flags(component):
    flags = set()
    for path in (ROOT / component / "flags.cc", ROOT / component / "main.cc", ROOT / "common/app/flags.cc"):
        if path.exists():
            flags |= set(re.findall(r"--[a-z][a-z-]+", path.read_text(encoding="utf-8")))
    return flags


def check_containers_of_ours(base):
    for component, port_name in COMPONENTS.items():
        port = int(NAMES[port_name])
        found = [(n, c) for n, s in pod_specs(base) for c in s["containers"] if c["name"] == component]
        expect(len(found) == 1, component, "must have one container")
        for name, container in found:
            flags = known_flags(component)
            args = container["args"]
            for arg in args:
                expect(arg.split("=")[0] in flags, name, f"{arg}: the program has no such flag")
            expect(f"--port={port}" in args, name, f"--port must be {port}")
            ports = {port}
            if component in METRICS_PORTS:
                metrics_port = int(NAMES[METRICS_PORTS[component]])
                expect(f"--metrics-port={metrics_port}" in args, name, f"--metrics-port must be {metrics_port}")
                ports = {metrics_port}  # the other one is not to be reached
                expect("--bind-address=127.0.0.1" in args, name, "the verbs must stay on the loopback")
            for entry in container.get("ports", []):
                expect(entry["containerPort"] in ports, name, f"containerPort must be in {ports}")
            check_probes_and_service(base, component, name, container)


def check_probes_and_service(base, component, name, container):
    """The kubelet, scrapes and policies reach a port that the container has, by its name."""
    ports = {p["name"] for p in container["ports"]}
    for probe in ("livenessProbe", "readinessProbe"):
        expect(container[probe].get("httpGet", {}).get("port") in ports, name, f"{probe} has no port of the container")
    for entry in base[f"{component}-service.yaml"]["spec"]["ports"]:
        expect(entry["targetPort"] in ports, name, f"its Service wants the port {entry['targetPort']}")
    for rule in base[f"{component}-networkPolicy.yaml"]["spec"]["ingress"]:
        for entry in rule["ports"]:
            expect(entry["port"] in ports, name, f"its NetworkPolicy speaks of the port {entry['port']}")


def check_webhook(base):
    config = base["webhook-mutatingWebhookConfiguration.yaml"]
    source = (ROOT / "webhook/service.h").read_text(encoding="utf-8")
    path = re.search(r'kPath = "([^"]+)"', source).group(1)
    for hook in config["webhooks"]:
        where = "webhook-mutatingWebhookConfiguration.yaml"
        expect(hook["clientConfig"]["service"]["path"] == path, where, f"path must be {path}")
        expect(hook["sideEffects"] == "None", where, "sideEffects")
        expect(hook["admissionReviewVersions"] == ["v1"], where, "admissionReviewVersions")
        expect(hook["timeoutSeconds"] == 5, where, "timeoutSeconds")
        expect(hook["reinvocationPolicy"] == "IfNeeded", where, "reinvocationPolicy")
        expect(hook["failurePolicy"] == "Fail", where, "failurePolicy")
        excluded = hook["namespaceSelector"]["matchExpressions"][0]["values"]
        expect({"kube-system", config_namespace(base)} <= set(excluded), where, "namespaceSelector")
        check_match_condition(where, hook["matchConditions"][0]["expression"])
    names = base["webhook-certificate.yaml"]["spec"]["dnsNames"]
    service = base["webhook-service.yaml"]["metadata"]
    expect(f"{service['name']}.{service['namespace']}.svc" in names, "webhook-certificate.yaml",
           "does not name the service")


def config_namespace(base):
    return base["namespace.yaml"]["metadata"]["name"]


def check_match_condition(where, expression):
    """Every resource of every dialect begins with a prefix of the condition: none slips past the webhook."""
    dialects = (ROOT / "common/contract/dialects.cc").read_text(encoding="utf-8")
    resources = set(re.findall(r'"([a-z.]+/[a-z-]+)"', dialects))
    resources |= {v for k, v in NAMES.items() if k.startswith("kResource")}
    expect(len(resources) >= 12, where, f"only {len(resources)} resource names found in the code")
    prefixes = set(re.findall(r"k\.startsWith\('([^']+)'\)", expression))
    for resource in sorted(resources):
        expect(any(resource.startswith(p) for p in prefixes), where, f"matchConditions miss {resource}")
    for part in ("annotations", "labels", "initContainers", "limits", "requests"):
        expect(part in expression, where, f"matchConditions do not look at {part}")


def check_scheduler(base):
    where = "extender-configMap.yaml"
    config = yaml.safe_load(base[where]["data"]["scheduler.yaml"])
    expect(config["profiles"][0]["schedulerName"] == NAMES["kSchedulerName"], where, "schedulerName")
    extender = config["extenders"][0]
    expect(extender["urlPrefix"] == f"http://127.0.0.1:{NAMES['kExtenderPort']}", where, "urlPrefix")
    routes = (ROOT / "extender/routes.cc").read_text(encoding="utf-8")
    for verb in ("filterVerb", "prioritizeVerb", "bindVerb", "preemptVerb"):
        expect(f'"{extender[verb]}"' in routes, where, f"{verb}: the extender has no route {extender[verb]}")
    expect(extender["ignorable"] is False and extender["nodeCacheCapable"] is True, where, "ignorable, nodeCacheCapable")
    managed = {r["name"] for r in extender["managedResources"]}
    ours = {v for k, v in NAMES.items() if k.startswith("kResource")}
    expect(managed == ours, where, f"managedResources differ from names.h: {managed ^ ours}")


def check_rbac(base):
    for name, item in base.items():
        for rule in item.get("rules", []) if item["kind"] in ("Role", "ClusterRole") else []:
            flat = rule["verbs"] + rule["resources"] + rule["apiGroups"]
            expect("*" not in flat, name, "has a wildcard")


def check_keys():
    """Each key of ours that is written anywhere in the base is one of names.h."""
    known = set(NAMES.values()) | EXTRA_KEYS
    for path in sorted([*MANIFESTS.glob("*.yaml"), *CHART.rglob("*.yaml"), *CHART.rglob("*.txt")]):
        for key in re.findall(r"(?<![\w.])tessera\.dev/[A-Za-z0-9_-]+", path.read_text(encoding="utf-8")):
            expect(key in known, path.name, f"{key} is not in names.h")


def check_agent(base):
    where = "agent-daemonSet.yaml"
    flags = (ROOT / "agent/flags.cc").read_text(encoding="utf-8")
    variable = re.search(r'envname\("(\w+)"\)', flags).group(1)
    container = base[where]["spec"]["template"]["spec"]["containers"][0]
    env = {e["name"]: e for e in container["env"]}
    expect(env.get(variable, {}).get("valueFrom", {}).get("fieldRef", {}).get("fieldPath") == "spec.nodeName", where,
           f"{variable} must be the node's name")
    folder = [a.split("=")[1] for a in container["args"] if a.startswith("--kubelet-pods-dir=")]
    mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
    expect(folder and folder[0] in mounts and mounts[folder[0]].get("readOnly") is False, where,
           "--kubelet-pods-dir must be mounted, writable: the arbiter's grants go into the regions")
    expect(container["securityContext"]["capabilities"].get("add") == ["DAC_READ_SEARCH"], where,
           "it needs no other capability: regions are open to all for writing")


def main():
    objects = load_all()
    if not PROBLEMS:
        base = base_files(objects)
        check_kustomization(objects, base)
        check_hardening(base)
        check_containers_of_ours(base)
        check_webhook(base)
        check_scheduler(base)
        check_rbac(base)
        check_keys()
        check_agent(base)
    print(f"{len(objects)} files, {CHECKS} checks, {len(PROBLEMS)} problems", *PROBLEMS, sep="\n")
    return 1 if PROBLEMS or CHECKS < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
