"""The chart by helm itself and the kustomize base, against a real API server."""
import subprocess
import sys

import yaml

from cluster.control_plane import ControlPlane
from cluster.processes import wait_for
from cluster.tessera import CHART, NAMESPACE, REPOSITORY, Tessera

MANIFESTS = REPOSITORY / "manifests"


def dry_run(plane, text):
    count = sum(1 for document in yaml.safe_load_all(text) if document)
    done = plane.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-",
                         input=text)
    assert done.stdout.count("(server dry run)") == count > 0, done.stdout
    # Warnings (unknown and deprecated fields, PodSecurity, CEL that does not type-check) are findings.
    assert "Warning" not in done.stderr, done.stderr


def test_chart_is_linted(tessera):
    assert "0 chart(s) failed" in tessera.helm("lint", "--strict", CHART).stdout


def test_every_manifest_is_accepted_strictly(plane, tessera):
    """On the namespace that the installation made; cert-manager's and the Prometheus operator's kinds, too."""
    dry_run(plane, plane.kubectl("kustomize", MANIFESTS).stdout)
    dry_run(plane, tessera.helm("template", "tessera", CHART, f"--namespace={NAMESPACE}").stdout)
    everything = ["webhook.certificates.mode=certManager", "serviceMonitor.enabled=true", "flowSchema.create=true",
                  "runtimeClass.create=true", "mps.enabled=true"]
    dry_run(plane, tessera.helm("template", "tessera", CHART, f"--namespace={NAMESPACE}",
                                "--api-versions=monitoring.coreos.com/v1", *[f"--set={v}" for v in everything]).stdout)


def test_examples_are_accepted_strictly(plane, tessera, webhook):
    for path in sorted((MANIFESTS / "examples").glob("*.yaml")):
        dry_run(plane, path.read_text())


def test_kustomize_base_renders_the_same_objects(plane, helm):
    done = subprocess.run([sys.executable, REPOSITORY / "tests/manifests/compare_chart.py", helm,
                           plane.binaries / "kubectl", REPOSITORY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_policies_type_check(plane, tessera):
    """The API server's own type check of the CEL in our policies."""
    def checked():
        policies = [policy for policy in plane.admin.list("validatingadmissionpolicies")
                    if policy["metadata"]["name"].startswith("tessera-")]
        assert len(policies) == 2 and all("typeChecking" in policy["status"] for policy in policies), policies
        return policies
    for policy in wait_for("the types to be checked", checked):
        assert not policy["status"]["typeChecking"].get("expressionWarnings"), policy["status"]


def test_upgrade_keeps_the_certificates(plane, tessera):
    before = plane.admin.get("secrets", "tessera-webhook-tls", NAMESPACE)["data"]
    bundle = lambda: plane.admin.get("mutatingwebhookconfigurations", "tessera-webhook")["webhooks"][0]["clientConfig"]
    before_bundle = bundle()
    tessera.helm("upgrade", "tessera", CHART, f"--namespace={NAMESPACE}", "--reuse-values", "--set=webhook.podAnnotations.a=b")
    assert plane.admin.get("secrets", "tessera-webhook-tls", NAMESPACE)["data"] == before
    assert bundle() == before_bundle
    deployment = plane.admin.get("deployments", "tessera-webhook", NAMESPACE)
    assert deployment["spec"]["template"]["metadata"]["annotations"]["a"] == "b"


def test_wrong_values_are_refused_with_words(tessera):
    done = tessera.helm("template", "x", CHART, "--set=webhook.replica=1", check=False)
    assert done.returncode != 0 and "replica" in done.stderr


def test_uninstall_leaves_nothing(tmp_path, plane, programs, helm):
    """On a control plane of its own: objects without a namespace exist once."""
    fresh = ControlPlane(tmp_path, plane.binaries, plane.etcd_folder, plane.service_address)
    try:
        fresh.start(manager=False)
        tessera = Tessera(fresh, programs, helm)
        wait_for("the API server to have made what is its own", lambda: LATE <= everything(fresh))
        before = everything(fresh)
        tessera.install()
        assert len(everything(fresh) - before) > 20
        tessera.helm("uninstall", "tessera", f"--namespace={NAMESPACE}")
        assert everything(fresh) - before == {("namespace", NAMESPACE)}
    finally:
        fresh.stop()


# What the API server makes by threads of its own, maybe after it is ready.
LATE = {("namespace", "kube-node-lease"), ("namespace", "kube-public"), ("namespace", "kube-system"), ("namespace", "default"),
        ("configmap", "extension-apiserver-authentication"), ("configmap", "kube-apiserver-legacy-service-account-token-tracking"),
        ("service", "kubernetes")}


def everything(plane):
    """Kind and name of all objects that a chart can make."""
    kinds = ("namespaces,serviceaccounts,secrets,configmaps,services,deployments,daemonsets,poddisruptionbudgets,"
             "networkpolicies,roles,rolebindings,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,"
             "validatingadmissionpolicies,validatingadmissionpolicybindings,flowschemas,prioritylevelconfigurations,"
             "runtimeclasses,priorityclasses")
    lines = plane.kubectl("get", kinds, "--all-namespaces", "--output=name", "--ignore-not-found").stdout.split()
    return {tuple(line.split("/", 1)) for line in lines}
