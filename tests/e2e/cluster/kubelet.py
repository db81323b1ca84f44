"""A real kubelet on this machine, with its files, logs and cgroups in places of its own."""
import pathlib

import yaml

from cluster import host
from cluster.processes import free_ports, wait_for


class Kubelet:
    """start() registers the node and waits until it is ready. Pods that still run at stop() end with the enclosure."""

    def __init__(self, plane, enclosure, folder, name, runtime):
        """`runtime`: a Containerd that runs in the same enclosure."""
        self.plane, self.folder, self.name = plane, pathlib.Path(folder), name
        self.enclosure, self._runtime = enclosure, runtime
        self.folder.mkdir(parents=True)
        self.pods_folder = self.folder / "root" / "pods"
        self.logs = self.folder / "logs"
        self.process = None
        self._tunables = host.Tunables()

    def start(self):
        self._tunables.__enter__()
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(self._config()))
        self.plane.identity(f"kubelet-{self.name}", f"system:node:{self.name}", "system:nodes")
        self.process = self.plane.run(
            f"kubelet-{self.name}", *self.enclosure.inside(
                self.plane.binaries / "kubelet", f"--config={config}", f"--root-dir={self.folder}/root",
                f"--kubeconfig={self.plane.folder}/kubelet-{self.name}.kubeconfig", f"--cert-dir={self.folder}/pki",
                f"--hostname-override={self.name}", f"--node-ip={self.plane.service_address}", "-v=2"))
        wait_for(f"node {self.name} to be ready", self._ready, 90, 0.3)
        # NodeRestriction's taint: the controller that would take it off is not running.
        self.plane.admin.patch("nodes", self.name, {"spec": {"taints": None}}, None)
        return self

    def _config(self):
        port, health = free_ports(2)
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "address": "127.0.0.1", "port": port, "healthzPort": health, "readOnlyPort": 0,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False},
                               "x509": {"clientCAFile": str(self.plane.ca.certificate)}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": self._runtime.endpoint, "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{self.enclosure.name}",
            "failCgroupV1": False, "failSwapOn": False, "enforceNodeAllocatable": [], "localStorageCapacityIsolation": True,
            # Ours stays as it is: lowering it takes CAP_SYS_RESOURCE.
            "oomScoreAdj": 0,
            "makeIPTablesUtilChains": False, "registerNode": True, "podLogsDir": str(self.logs), "resolvConf": "",
            "volumePluginDir": f"{self.folder}/plugins", "staticPodPath": "",
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99, "imageMinimumGCAge": "24h",
            # Sooner than a cluster would: tests wait for it.
            "syncFrequency": "10s", "nodeStatusUpdateFrequency": "2s", "fileCheckFrequency": "0s", "httpCheckFrequency": "0s",
            "shutdownGracePeriod": "0s"}

    def _ready(self):
        self.process.check()
        node = self.plane.admin.find("nodes", self.name)
        conditions = {c["type"]: c for c in (node or {}).get("status", {}).get("conditions", [])}
        assert conditions.get("Ready", {}).get("status") == "True", conditions.get("Ready")
        return True

    def log_of(self, pod, container, restart=0):
        """What a container's program wrote, line by line."""
        meta = pod["metadata"]
        path = self.logs / f"{meta['namespace']}_{meta['name']}_{meta['uid']}" / container / f"{restart}.log"
        if not path.exists():
            return []
        # Each line is "<time> <stream> <F: whole> <text>".
        return [line.split(" ", 3)[3] for line in path.read_text().splitlines()]

    def statuses(self, pod):
        """Name -> status of the pod's containers, as the kubelet told last."""
        now = self.plane.admin.get("pods", pod["metadata"]["name"], pod["metadata"]["namespace"])
        return {status["name"]: status for status in now["status"].get("containerStatuses", [])}

    def stop(self):
        if self.process is not None:
            self.process.stop()
            self._tunables.__exit__()
