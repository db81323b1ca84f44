#!/usr/bin/env python3
"""The Helm chart and the kustomize base say the same: object by object, for the values that the base stands for, after
removing what only Helm adds. Each switch of the chart renders, too, and does what it says.
Usage: compare_chart.py HELM KUBECTL REPOSITORY"""
import base64
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

HELM, KUBECTL, ROOT = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
CHART = ROOT / "manifests/helm/tessera"
# What the base is: certificates by cert-manager, no TLS on the pod's own loopback.
AS_THE_BASE = ["webhook.certificates.mode=certManager", "extender.tls.mode=none"]
HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance")
MONITORING = "monitoring.coreos.com/v1"
CA_PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PROBLEMS = []


def expect(condition, message):
    if not condition:
        PROBLEMS.append(message)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(*settings, namespace="tessera-system", version="1.34.2", more=()):
    """Objects by (kind, namespace, name)."""
    flags = [part for setting in settings for part in ("--set-json" if "=[" in setting or "={" in setting else "--set",
                                                       setting)]
    done = run(HELM, "template", "release", str(CHART), "--namespace", namespace, "--kube-version", version, *flags,
               *more)
    if done.returncode != 0:
        sys.exit(f"helm template {' '.join(settings)}: {done.stderr}")
    return index(done.stdout)


def index(text):
    objects = {}
    for item in yaml.safe_load_all(text):
        if item is not None:
            key = (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
            expect(key not in objects, f"{key} is there twice")
            objects[key] = item
    return objects


def without_helm(item):
    """The object as the base would have it; removes from labels and annotations of the object and its pods."""
    for metadata in (item["metadata"], item.get("spec", {}).get("template", {}).get("metadata", {})):
        for name in HELM_LABELS:
            metadata.get("labels", {}).pop(name, None)
        annotations = metadata.get("annotations", {})
        for name in [k for k in annotations if k.startswith("checksum/")]:
            del annotations[name]
        if not annotations:
            metadata.pop("annotations", None)
    for name, text in item.get("data", {}).items():
        item["data"][name] = yaml.safe_load(text) if name.endswith(".yaml") else text
    return item


def differences(left, right, where=""):
    """Paths at which the two differ, with both values."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from differences(left.get(key), right.get(key), f"{where}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right)):
            yield from differences(one, other, f"{where}[{number}]")
    elif left != right:
        yield f"{where}: base {json.dumps(left)}, chart {json.dumps(right)}"


def compare_with_base():
    built = run(KUBECTL, "kustomize", str(ROOT / "manifests"))
    if built.returncode != 0:
        sys.exit(f"kubectl kustomize: {built.stderr}")
    base = {k: without_helm(v) for k, v in index(built.stdout).items() if k[0] != "Namespace"}
    chart = {k: without_helm(v) for k, v in render(*AS_THE_BASE).items()}
    for key in sorted(base.keys() | chart.keys()):
        name = "/".join(key)
        if key in base and key in chart:
            PROBLEMS.extend(f"{name}{line}" for line in differences(base[key], chart[key]))
        else:
            PROBLEMS.append(f"{name}: only in the {'base' if key in base else 'chart'}")
    return len(base)


def one(objects, kind, name):
    found = [v for k, v in objects.items() if k[0] == kind and k[2] == name]
    expect(len(found) == 1, f"{kind} {name}: {len(found)} of it")
    return found[0] if found else {}


def scheduler_config(objects):
    return yaml.safe_load(one(objects, "ConfigMap", "tessera-scheduler")["data"]["scheduler.yaml"])


def check_namespace():
    """Nothing names the usual namespace in another one."""
    objects = render(namespace="gpus")
    text = json.dumps(list(objects.values()))
    expect("tessera-system" not in text, "in namespace gpus something still says tessera-system")
    expect({k[1] for k in objects} == {"", "gpus", "kube-system"}, "objects in odd namespaces")
    hook = one(objects, "MutatingWebhookConfiguration", "tessera-webhook")["webhooks"][0]
    expect(hook["clientConfig"]["service"]["namespace"] == "gpus", "the webhook's service")
    expect(hook["namespaceSelector"]["matchExpressions"][0]["values"] == ["kube-system", "gpus"], "namespaceSelector")
    policy = one(objects, "ValidatingAdmissionPolicy", "tessera-agent-own-node")
    expect("serviceaccount:gpus:tessera-agent'" in policy["spec"]["matchConditions"][0]["expression"], "own-node policy")
    expect(scheduler_config(objects)["leaderElection"]["resourceNamespace"] == "gpus", "the scheduler's lease")


def certificate(pem_base64, *arguments):
    done = subprocess.run(["openssl", *arguments], input=base64.b64decode(pem_base64), capture_output=True, check=False)
    return done.stdout.decode() + done.stderr.decode()


def check_made_certificates(folder):
    """The CA in the configuration is the one that signed the Secret's leaf; the names are those that are called."""
    objects = render()
    secret = one(objects, "Secret", "tessera-webhook-tls")["data"]
    hook = one(objects, "MutatingWebhookConfiguration", "tessera-webhook")["webhooks"][0]
    expect(hook["clientConfig"]["caBundle"] == secret["ca.crt"], "caBundle is not the CA of the Secret")
    extender = one(objects, "Secret", "tessera-extender-tls")["data"]
    for data, leaf, check in ((secret, "tls.crt", ["-verify_hostname", "tessera-webhook.tessera-system.svc"]),
                              (extender, "tls.crt", ["-verify_ip", "127.0.0.1", "-purpose", "sslserver"]),
                              (extender, "client.crt", ["-purpose", "sslclient"])):
        ca = folder / "ca.crt"
        ca.write_bytes(base64.b64decode(data["ca.crt"]))
        verified = certificate(data[leaf], "verify", "-CAfile", str(ca), *check)
        expect(": OK" in verified, f"{leaf} {check}: {verified}")
        key = certificate(data[leaf.replace("crt", "key")], "pkey", "-pubout")
        expect(key == certificate(data[leaf], "x509", "-noout", "-pubkey"), f"{leaf}: not its key")
    expect("ca.key" not in secret | extender, "a CA's key is kept")


def check_extender_tls():
    """HTTPS never without a CA, and each container has its own half of the keys alone."""
    for mode in ("none", "helm", "secret"):
        objects = render(f"extender.tls.mode={mode}", "extender.tls.secretName=mine")
        extender = scheduler_config(objects)["extenders"][0]
        pod = one(objects, "Deployment", "tessera-extender")["spec"]["template"]["spec"]
        args = pod["containers"][1]["args"]
        if mode == "none":
            expect(extender["urlPrefix"].startswith("http://") and "enableHTTPS" not in extender, "none: the URL")
            expect(not any("tls" in a or "client-ca" in a for a in args), "none: the extender's flags")
            continue
        expect(extender["urlPrefix"].startswith("https://127.0.0.1:") and extender["enableHTTPS"], f"{mode}: the URL")
        volumes = {v["name"]: v["secret"] for v in pod["volumes"] if "secret" in v}
        expect({v["secretName"] for v in volumes.values()} == {"mine" if mode == "secret" else "tessera-extender-tls"},
               f"{mode}: the Secret")
        given = [{f"{m['mountPath']}/{i['path']}" for m in c["volumeMounts"] if m["name"] in volumes
                  for i in volumes[m["name"]]["items"]} for c in pod["containers"]]
        wanted = [{extender["tlsConfig"].get(k) for k in ("caFile", "certFile", "keyFile")},
                  {a.split("=")[1] for a in args if re.match("--(tls|client-ca)-", a)}]
        expect(given == wanted and all(len(w) == 3 for w in wanted), f"{mode}: files {given}, wanted {wanted}")


def check_certificate_modes():
    objects = render("webhook.certificates.mode=secret", "webhook.certificates.secretName=mine",
                     f"webhook.certificates.caBundle={CA_PEM}")
    hook = one(objects, "MutatingWebhookConfiguration", "tessera-webhook")["webhooks"][0]
    expect(base64.b64decode(hook["clientConfig"]["caBundle"]).decode() == CA_PEM, "secret: caBundle")
    pod = one(objects, "Deployment", "tessera-webhook")["spec"]["template"]["spec"]
    expect(pod["volumes"][0]["secret"]["secretName"] == "mine", "secret: the webhook's volume")
    expect(not any(k[2] == "tessera-webhook-tls" for k in objects), "secret: a Secret is made anyway")
    for settings, words in ((["webhook.certificates.mode=secret"], "caBundle"),
                            (["extender.tls.mode=secret"], "extender.tls.secretName"),
                            (["webhook.delivery=hostPath"], "libraryHostPath"),
                            (["webhook.replica=3"], "replica"), (["webhok.replicas=3"], "webhok")):
        refused = run(HELM, "template", "release", str(CHART), *[p for s in settings for p in ("--set", s)])
        expect(refused.returncode != 0 and words in refused.stderr, f"{settings} is not refused: {refused.stderr}")


def check_switches():
    usual = set(render())
    kinds = lambda objects: {k[0] for k in objects}
    expect("NetworkPolicy" not in kinds(render("networkPolicy.enabled=false")), "networkPolicy.enabled=false")
    expect("PodDisruptionBudget" not in kinds(render("webhook.replicas=1", "extender.replicas=1")),
           "a budget for a single replica blocks drains")
    made = set(render("runtimeClass.create=true", "flowSchema.create=true")) - usual
    expect(made == {("RuntimeClass", "", "nvidia"), ("FlowSchema", "", "tessera-extender"),
                    ("FlowSchema", "", "tessera-extender-lease")}, f"runtimeClass, flowSchema: {made}")
    monitors = set(render("serviceMonitor.enabled=true", more=("--api-versions", MONITORING))) - usual
    expect({k[2] for k in monitors} == {"tessera-agent", "tessera-extender", "tessera-webhook"}, "serviceMonitor")
    expect(set(render("serviceMonitor.enabled=true")) == usual, "serviceMonitor without its API")
    left = usual - set(render("agent.ownNodePolicy.enabled=false"))
    expect({k[0] for k in left} == {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}, f"policy: {left}")


def check_mps():
    """Off: no privilege. On: agent and webhook have one folder, by the chart and by the base's component."""
    off = json.dumps(list(render().values()))
    expect(not any(word in off for word in ("-mps", "\"mps", "privileged", "hostPID")), "mps.enabled=false leaves something")
    component = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["base"],
                 "components": ["base/mps"]}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        shutil.copytree(ROOT / "manifests", path / "base", ignore=shutil.ignore_patterns("helm", "examples"))
        (path / "kustomization.yaml").write_text(yaml.safe_dump(component))
        built = run(KUBECTL, "kustomize", folder)
    expect(built.returncode == 0, f"mps component: {built.stderr}")
    base = {k: without_helm(v) for k, v in index(built.stdout).items() if k[0] != "Namespace"}
    chart = {k: without_helm(v) for k, v in render(*AS_THE_BASE, "mps.enabled=true").items()}
    for key in sorted(base.keys() | chart.keys()):
        PROBLEMS.extend(f"mps {'/'.join(key)}{line}" for line in differences(base.get(key), chart.get(key)))
    objects = render("mps.enabled=true", "mps.root=/data/mps", "mps.controlArguments=[\"-M\"]")
    pod = one(objects, "DaemonSet", "tessera-agent")["spec"]["template"]["spec"]
    expect({"--mps", "--mps-root=/data/mps", "--mps-argument=-M"} <= set(pod["containers"][0]["args"]), "agent's mps flags")
    expect({v["hostPath"]["path"] for v in pod["volumes"] if v["name"].startswith("mps")} == {"/data/mps", "/data/mps/shm"},
           "agent's mps volumes")
    webhook = one(objects, "Deployment", "tessera-webhook")["spec"]["template"]["spec"]["containers"][0]
    expect({"--allow-mps", "--mps-root=/data/mps"} <= set(webhook["args"]), "webhook's mps flags")


def check_values_arrive():
    objects = render("image.registry=mirror", "image.tag=v9", "image.pullPolicy=Always", "imagePullSecrets=[{\"name\":\"s\"}]",
                     f"agent.image.digest=sha256:{'0' * 64}", "agent.kubeletRootDir=/data/kubelet",
                     "agent.nvmlLibrary=/opt/nvml.so", "agent.runtimeClassName=", "webhook.runtimeClassName=",
                     "webhook.allowMemoryOversubscription=true", "webhook.podLabels={\"a\":\"b\"}", "webhook.extraArgs=[\"-v=1\"]", "extender.nodeSelector={\"k\":\"v\"}",
                     "scheduler.extraEnv=[{\"name\":\"E\",\"value\":\"1\"}]", version="v1.35.4-eks-113cf36")
    agent = one(objects, "DaemonSet", "tessera-agent")["spec"]["template"]["spec"]
    expect(agent["containers"][0]["image"] == f"mirror/tessera/tessera-agent@sha256:{'0' * 64}", "digest")
    expect(agent["imagePullSecrets"] == [{"name": "s"}] and "runtimeClassName" not in agent, "agent's pod")
    expect(agent["volumes"][0]["hostPath"]["path"] == "/data/kubelet/pods", "kubeletRootDir")
    expect({"--kubelet-pods-dir=/data/kubelet/pods", "--nvml-library=/opt/nvml.so"}
           <= set(agent["containers"][0]["args"]), "agent's flags")
    expect("--no-arbiter" not in agent["containers"][0]["args"] and
           agent["containers"][0]["volumeMounts"][0]["readOnly"] is False, "agent.arbiter")
    agent = one(render("agent.arbiter=false"), "DaemonSet", "tessera-agent")["spec"]["template"]["spec"]["containers"][0]
    expect("--no-arbiter" in agent["args"] and agent["volumeMounts"][0]["readOnly"] is True, "agent.arbiter=false")
    webhook = one(objects, "Deployment", "tessera-webhook")["spec"]["template"]
    expect(webhook["metadata"]["labels"]["a"] == "b", "podLabels")
    args = webhook["spec"]["containers"][0]["args"]
    expect("-v=1" in args and "--library-image=mirror/tessera/tessera-library:v9" in args, f"webhook's flags {args}")
    expect(not any("runtime-class" in a for a in args), "webhook.runtimeClassName empty")
    expect("--allow-memory-oversubscription=true" in args, "webhook.allowMemoryOversubscription")
    pod = one(objects, "Deployment", "tessera-extender")["spec"]["template"]["spec"]
    scheduler = pod["containers"][0]
    expect(pod["nodeSelector"] == {"k": "v"}, "nodeSelector")
    expect(scheduler["image"] == "registry.k8s.io/kube-scheduler:v1.35.4", f"scheduler is {scheduler['image']}")
    expect(scheduler["imagePullPolicy"] == "Always" and scheduler["env"] == [{"name": "E", "value": "1"}], "scheduler")


def main():
    linted = run(HELM, "lint", "--strict", str(CHART))
    expect(linted.returncode == 0, f"helm lint: {linted.stdout}{linted.stderr}")
    compared = compare_with_base()
    check_namespace()
    with tempfile.TemporaryDirectory() as folder:
        check_made_certificates(pathlib.Path(folder))
    check_extender_tls()
    check_certificate_modes()
    check_switches()
    check_mps()
    check_values_arrive()
    print(f"{compared} objects compared, {len(PROBLEMS)} problems", *PROBLEMS, sep="\n")
    return 1 if PROBLEMS or compared < 30 else 0


if __name__ == "__main__":
    sys.exit(main())
