"""Tessera on a control plane: the chart as Helm installs it, our programs as processes with the rights that the chart
gives to their service accounts."""
import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import requests
import yaml

from cluster import pods
from cluster.processes import free_ports, wait_for

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
CHART = REPOSITORY / "manifests" / "helm" / "tessera"
MPS_CONTROL = REPOSITORY / "tests/fakes/nvidia-cuda-mps-control"
NAMESPACE = "tessera-system"
SCHEDULER = "tessera-scheduler"
LIBRARY_IMAGE = "ghcr.io/tessera/tessera-library:0.1.0"


class Tessera:
    """install() first. Everything that is started ends with the control plane."""

    def __init__(self, plane, programs, helm):
        """`programs`: the folder with our programs; `helm`: the program."""
        self.plane, self.programs, self._helm = plane, pathlib.Path(programs), helm
        self.folder = plane.folder / "tessera"
        self.folder.mkdir(exist_ok=True)
        self.admin = plane.admin
        # The folder of MPS of the nodes that have it. Sockets are in it, and the path of a socket is short.
        self.mps_root = plane.folder / "m"

    def helm(self, *args, check=True):
        done = subprocess.run([str(self._helm), *map(str, args), f"--kubeconfig={self.plane.folder}/admin.kubeconfig"],
                              capture_output=True, text=True, check=False,
                              env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
        assert not check or done.returncode == 0, f"helm {' '.join(map(str, args))}: {done.stderr or done.stdout}"
        return done

    def install(self, *values):
        """Without pods of its own: nobody would run them. `values`: further --set arguments."""
        sets = ["webhook.replicas=0", "extender.replicas=0", "runtimeClass.create=true", *values]
        self.helm("install", "tessera", CHART, f"--namespace={NAMESPACE}", "--create-namespace",
                  *[f"--set={value}" for value in sets])

    def secret(self, name):
        """Writes the Secret's files into a folder; returns it."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for key, value in self.admin.get("secrets", name, NAMESPACE)["data"].items():
            (folder / key).write_bytes(base64.b64decode(value))
        return folder

    def token(self, account, node=None, namespace=NAMESPACE):
        """A token of a service account; bound to a node, as a pod's token is."""
        spec = {"expirationSeconds": 7200}
        if node is not None:
            uid = self.admin.get("nodes", node)["metadata"]["uid"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return self.admin.create_sub("serviceaccounts", account, "token", request, namespace)["status"]["token"]

    def kubeconfig(self, name, account, node=None):
        return self.plane.kubeconfig(name, {"token": self.token(account, node)})

    def start_webhook(self, name="webhook", delivery="auto", flags=()):
        """The webhook behind the chart's Service, by an EndpointSlice that names this machine; until it is asked."""
        tls = self.secret("tessera-webhook-tls")
        (port,) = free_ports(1)
        process = self.plane.run(
            name, self.programs / "tessera-webhook", f"--kubeconfig={self.kubeconfig(name, 'tessera-webhook')}",
            "--bind-address=0.0.0.0", f"--port={port}", f"--tls-cert-file={tls}/tls.crt",
            f"--tls-private-key-file={tls}/tls.key", f"--delivery={delivery}", "--drain-seconds=0", "--runtime-class=nvidia",
            f"--library-image={LIBRARY_IMAGE}", "--allow-mps", f"--mps-root={self.mps_root}", *flags)
        process.port = port
        self.point_service_at(port)
        self.reached(process)
        return process

    def reached(self, webhook):
        """Waits until the API server asks this webhook: it learns of configurations and endpoints by watching."""
        count = lambda: self.metric(webhook, "tessera_webhook_requests_total")

        def check():
            webhook.check()
            before = count()
            self.admin.create("pods", pods.slice_pod("trial", 1), dryRun="All")
            return count() > before
        wait_for("the API server to ask the webhook", check)

    @contextlib.contextmanager
    def webhook_instead_of(self, usual, name, **options):
        """Another webhook (see start_webhook) while the context lasts. The usual one does not run meanwhile, because the API
        server keeps its connections."""
        usual.stop()
        other = None
        try:
            other = self.start_webhook(name, **options)
            yield other
        finally:
            if other is not None:
                other.stop()
            self.point_service_at(usual.port)
            usual.start()
            self.reached(usual)

    def point_service_at(self, port):
        service = self.admin.get("services", "tessera-webhook", NAMESPACE)
        body = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "tessera-webhook-e2e", "namespace": NAMESPACE,
                         "labels": {"kubernetes.io/service-name": "tessera-webhook",
                                    "endpointslice.kubernetes.io/managed-by": "tessera-e2e"}},
            "endpoints": [{"addresses": [self.plane.service_address], "conditions": {"ready": True}}],
            "ports": [{"name": service["spec"]["ports"][0].get("name"), "port": port, "protocol": "TCP"}]}
        self.admin.delete("endpointslices", "tessera-webhook-e2e", NAMESPACE)
        self.admin.create("endpointslices", body)

    def start_extender(self, name="extender", *flags):
        """The extender with the certificate of the chart's Secret; it takes only clients that its CA has signed."""
        tls = self.secret("tessera-extender-tls")
        port, metrics = free_ports(2)
        process = self.plane.run(
            name, self.programs / "tessera-extender", f"--kubeconfig={self.kubeconfig(name, 'tessera-extender')}",
            "--bind-address=127.0.0.1", f"--port={port}", f"--tls-cert-file={tls}/tls.crt",
            f"--tls-private-key-file={tls}/tls.key", f"--client-ca-file={tls}/ca.crt", "--kube-api-qps=1000",
            "--kube-api-burst=2000", "--metrics-bind-address=127.0.0.1", f"--metrics-port={metrics}", *flags)
        process.port, process.metrics_port = port, metrics
        wait_for("the extender", lambda: self._ready(process, f"http://127.0.0.1:{metrics}/readyz"))
        return process

    @staticmethod
    def series(process, name):
        """(labels as text, value) of each series of a metric, from the process' /metrics."""
        if hasattr(process, "metrics_port"):
            url = f"http://127.0.0.1:{process.metrics_port}/metrics"
        else:
            url = f"https://127.0.0.1:{process.port}/metrics"
        for line in requests.get(url, timeout=10, verify=False).text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name:
                yield series, float(value)

    def metric(self, process, name, **labels):
        """The sum of a metric's series with these labels."""
        return sum((value for series, value in self.series(process, name)
                    if all(f'{key}="{label}"' in series for key, label in labels.items())), 0.0)

    def nodes_known(self, extender):
        """Names of the nodes that the extender has heard of."""
        return {re.search('node="([^"]*)"', series)[1] for series, _ in self.series(extender, "tessera_node_closed")}

    def extender_knows(self, extender, *names):
        """Waits until the extender has heard of just these nodes. Where a test looks at what a pod is told: kube-scheduler may
        try a pod before, and has no cause to try it again afterwards."""
        wait_for(f"the extender to know {names}", lambda: self.nodes_known(extender) == set(names))

    def extender_caught_up(self, extender):
        """Waits until the extender has heard of all that was written on nodes so far: it hears of a node last that is
        made last."""
        self.admin.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "marker"}})
        wait_for("the extender to catch up", lambda: "marker" in self.nodes_known(extender))
        self.admin.delete("nodes", "marker")

    @staticmethod
    def _ready(process, url):
        process.check()
        return requests.get(url, timeout=2, verify=False).status_code == 200

    def scheduler_config(self, extender, leader_elect=False):
        """The chart's own configuration; only where the extender listens and where files are is other."""
        text = self.admin.get("configmaps", "tessera-scheduler", NAMESPACE)["data"]["scheduler.yaml"]
        config = yaml.safe_load(text)
        config["leaderElection"]["leaderElect"] = leader_elect
        tls = self.secret("tessera-extender-tls")
        (only,) = config["extenders"]
        assert only["enableHTTPS"] and not only["tlsConfig"].get("insecure"), only
        only["urlPrefix"] = f"https://127.0.0.1:{extender.port}"
        for field in ("caFile", "certFile", "keyFile"):
            only["tlsConfig"][field] = str(tls / pathlib.Path(only["tlsConfig"][field]).name)
        return config

    def start_scheduler(self, extender, name="tessera-scheduler", leader_elect=False):
        """kube-scheduler with the rights of the extender's service account, as in the chart's pod."""
        kubeconfig = self.kubeconfig(name, "tessera-extender")
        return self.plane.start_scheduler(name, self.scheduler_config(extender, leader_elect), kubeconfig)

    def start_agent(self, node, gpus, kubelet=None, mps=False):
        """A real agent with simulated NVML. `gpus`: text of a TESSERA_SIM_GPUS file. `kubelet`: the node's, if it has one.
        `mps`: it runs MPS daemons, by a program that stands in for NVIDIA's; stop_mps() ends those."""
        folder = self.folder / f"agent-{node}"
        (folder / "state").mkdir(parents=True, exist_ok=True)
        (folder / "pods").mkdir(exist_ok=True)
        (folder / "gpus").write_text(gpus)
        (port,) = free_ports(1)
        command = [
            self.programs / "tessera-agent", f"--node-name={node}", "--bind-address=127.0.0.1", f"--port={port}",
            f"--kubeconfig={self.kubeconfig(f'agent-{node}', 'tessera-agent', node)}", "--interval=1",
            f"--kubelet-pods-dir={kubelet.pods_folder if kubelet else folder / 'pods'}",
            f"--nvml-library={self.programs.parent}/lib/sim/libnvidia-ml.so.1",
            *(["--mps", f"--mps-root={self.mps_root}", f"--mps-control={MPS_CONTROL}"] if mps else [])]
        process = self.plane.run(
            f"agent-{node}", *(kubelet.enclosure.inside(*command) if kubelet else command),
            env={"TESSERA_SIM_GPUS": str(folder / "gpus"), "TESSERA_SIM_STATE": str(folder / "state")})
        process.metrics_port = port
        return process

    def mps_daemon(self, uuid):
        """The process id of the GPU's MPS daemon; None if it has none."""
        file = self.mps_root / uuid / "pipe/nvidia-cuda-mps-control.pid"
        pid = int(file.read_text()) if file.exists() else 0
        return pid if pid and pathlib.Path(f"/proc/{pid}").exists() else None

    def stop_mps(self):
        """Ends all MPS daemons and takes their folders away."""
        for home in self.mps_root.glob("*/pipe"):
            if pid := self.mps_daemon(home.parent.name):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.mps_root, ignore_errors=True)


def assignment(pod):
    """The recorded decision, or None."""
    text = pod["metadata"].get("annotations", {}).get("tessera.dev/assignment")
    return json.loads(text) if text else None
