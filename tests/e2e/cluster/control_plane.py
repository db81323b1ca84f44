"""etcd, kube-apiserver, kube-controller-manager and kube-schedulers of one version, fresh, on the loopback."""
import pathlib
import subprocess

import requests
import yaml

from cluster import pki
from cluster.api import Api
from cluster.processes import Process, free_ports, wait_for

# The controllers that would judge nodes without a kubelet are left out: nobody renews their leases.
CONTROLLERS = "*,-node-lifecycle-controller,-taint-eviction-controller,-bootstrap-signer-controller,-token-cleaner-controller"


class ControlPlane:
    """Start order: start(); then any number of schedulers. stop() ends all of them by their pids."""

    def __init__(self, folder, binaries, etcd, service_address):
        """`binaries`, `etcd`: folders that build_tools printed. `service_address`: an address of this machine that is
        not the loopback, which EndpointSlices may name."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.binaries, self.etcd_folder = pathlib.Path(binaries), pathlib.Path(etcd)
        self.service_address = service_address
        self.processes = []
        self.ca = pki.Authority(self.folder / "pki")
        self.etcd_port, self.etcd_peer_port, self.api_port, self.manager_port = free_ports(4)
        self.url = f"https://127.0.0.1:{self.api_port}"
        self.etcd = self.apiserver = self.manager = None
        self.admin = self.identity("admin", "e2e-admin", "system:masters")

    def identity(self, name, user, group=None):
        """A client certificate and its kubeconfig NAME.kubeconfig; returns the Api."""
        certificate, key = self.ca.issue(name, user, group)
        self.kubeconfig(name, {"client-certificate": str(certificate), "client-key": str(key)})
        return Api(self.url, self.ca.certificate, (certificate, key))

    def kubeconfig(self, name, user):
        """Writes a kubeconfig for `user` (its content as in users[].user); returns the path."""
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
            "clusters": [{"name": "e2e", "cluster": {"server": self.url,
                                                     "certificate-authority": str(self.ca.certificate)}}],
            "users": [{"name": "e2e", "user": user}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}]}))
        return path

    def run(self, name, *command, env=None):
        process = Process(name, command, self.folder, env)
        self.processes.append(process)
        return process.start()

    def start(self, manager=True):
        """`manager` False: without controllers, so without service accounts, quotas' counts and garbage collection."""
        self.etcd = self.run(
            "etcd", self.etcd_folder / "etcd", f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{self.etcd_port}", f"--advertise-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{self.etcd_peer_port}", "--log-level=warn")
        certificate, key = self.ca.issue("apiserver", "kube-apiserver", None,
                                         ["127.0.0.1", "localhost", "kubernetes.default.svc", self.service_address])
        private, public = pki.key_pair(self.folder, "service-account")
        self.apiserver = self.run(
            "kube-apiserver", self.binaries / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--secure-port={self.api_port}", "--bind-address=0.0.0.0", f"--advertise-address={self.service_address}",
            f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}", f"--client-ca-file={self.ca.certificate}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}", "--service-cluster-ip-range=10.96.0.0/16",
            f"--requestheader-client-ca-file={self.ca.certificate}", "--requestheader-allowed-names=nobody",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction,ResourceQuota",
            # Webhooks are reached by their Service's EndpointSlices: there is no kube-proxy.
            "--enable-aggregator-routing=true", "--allow-privileged=true", "--profiling=false",
            "--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000")
        self.ready()
        if manager:
            self._start_manager(private)
        return self

    def _start_manager(self, private):
        self.identity("controller-manager", "system:kube-controller-manager")
        self.manager = self.run(
            "kube-controller-manager", self.binaries / "kube-controller-manager",
            f"--kubeconfig={self.folder}/controller-manager.kubeconfig", f"--root-ca-file={self.ca.certificate}",
            f"--service-account-private-key-file={private}", "--use-service-account-credentials=true",
            f"--secure-port={self.manager_port}", "--bind-address=127.0.0.1", "--leader-elect=false",
            f"--controllers={CONTROLLERS}", "--kube-api-qps=500", "--kube-api-burst=1000",
            f"--cert-dir={self.folder}/manager-certs")
        wait_for("the default service account", lambda: self.admin.find("serviceaccounts", "default"), 60)

    def ready(self, timeout=180):
        """Waits until the API server answers."""
        def check():
            self.apiserver.check()
            return self.admin.request("GET", "/readyz", timeout=5) == "ok"
        wait_for("kube-apiserver", check, timeout, 0.2)

    def start_scheduler(self, name, config, kubeconfig=None):
        """Runs kube-scheduler with `config` (a KubeSchedulerConfiguration as dict) and the rights of `kubeconfig`
        (default: those of a cluster's own scheduler), until it has listed what there is. Its metrics are at
        https://127.0.0.1:{process.port}/metrics."""
        if kubeconfig is None:
            kubeconfig = self.folder / "scheduler.kubeconfig"
            if not kubeconfig.exists():
                self.identity("scheduler", "system:kube-scheduler")
        config = {**config, "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 1000, "burst": 2000}}
        path = self.folder / f"{name}-config.yaml"
        path.write_text(yaml.safe_dump(config))
        (port,) = free_ports(1)
        process = self.run(name, self.binaries / "kube-scheduler", f"--config={path}", f"--secure-port={port}",
                           "--bind-address=127.0.0.1", f"--cert-dir={self.folder}/{name}-certs", "-v=2",
                           f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
                           "--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics")
        process.port = port

        def check():
            process.check()
            return requests.get(f"https://127.0.0.1:{port}/readyz", timeout=5, verify=False).status_code == 200
        wait_for(name, check)
        return process

    def kubectl(self, *args, check=True, input=None, kubeconfig="admin"):
        """Runs kubectl as the admin; returns the finished process."""
        # What it knows of an API server it keeps by address, so another run's would be taken for this one's.
        done = subprocess.run([str(self.binaries / "kubectl"), f"--kubeconfig={self.folder}/{kubeconfig}.kubeconfig",
                               f"--cache-dir={self.folder}/kubectl", *map(str, args)],
                              capture_output=True, text=True, input=input, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(map(str, args))}: {done.stderr or done.stdout}"
        return done

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
