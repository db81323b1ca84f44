"""containerd with runc, everything of it below one folder."""
import json
import os
import pathlib
import shutil
import subprocess

from cluster import host
from cluster.processes import wait_for

NAMESPACE = "k8s.io"


def _toml(value):
    return json.dumps(value)  # strings, numbers, booleans and flat lists are written alike


class Containerd:
    """start(), then import_image() and a kubelet at `endpoint`. What stop() leaves ends with the enclosure."""

    def __init__(self, run, enclosure, folder, binaries, plugins, pause, runtimes):
        """`run`: starts a Process, see ControlPlane.run. `binaries`, `plugins`: folders with containerd's and CNI's
        programs. `pause`: name of the image that holds a pod's namespaces. `runtimes`: handlers of RuntimeClasses beside runc, and
        their programs."""
        self._run, self._enclosure, self.folder = run, enclosure, pathlib.Path(folder)
        self.binaries = pathlib.Path(binaries)
        self._plugins, self._pause, self._runtimes = plugins, pause, runtimes
        self.folder.mkdir(parents=True)
        self.socket = self.folder / "containerd.sock"
        self.endpoint = f"unix://{self.socket}"
        self.bridge = "e2e" + self.folder.parent.name[-8:]
        self.process = None

    def start(self):
        self._write_network()
        config = self.folder / "config.toml"
        config.write_text(self._config())
        self.process = self._run("containerd", *self._enclosure.inside(self.binaries / "containerd", f"--config={config}"), env={
            "PATH": f"{self.binaries}:{os.environ['PATH']}", "TMPDIR": str(self.folder)})
        wait_for("containerd", self._ready, 60, 0.2)
        return self

    def _ready(self):
        self.process.check()
        return self.ctr("version", check=False).returncode == 0

    def _write_network(self):
        """A bridge that leads nowhere: pods have an address, as the kubelet demands, and no way out."""
        (self.folder / "net.d").mkdir()
        (self.folder / "net.d" / "10-e2e.conflist").write_text(json.dumps({
            "cniVersion": "1.0.0", "name": "e2e", "plugins": [{
                "type": "bridge", "bridge": self.bridge, "isGateway": False, "ipMasq": False,
                "ipam": {"type": "host-local", "dataDir": str(self.folder / "ipam"),
                         "ranges": [[{"subnet": "198.18.77.0/24"}]]}}]}))

    def _config(self):
        runtime, images = "plugins.'io.containerd.cri.v1.runtime'", "plugins.'io.containerd.cri.v1.images'"
        tables = {
            "": {"version": 3, "root": f"{self.folder}/root", "state": f"{self.folder}/state",
                 # Plugins of no use here, some of which need more rights or kernel modules.
                 "disabled_plugins": [f"io.containerd.snapshotter.v1.{name}" for name in
                                      ("blockfile", "btrfs", "devmapper", "erofs", "zfs")] +
                 ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]},
            "grpc": {"address": str(self.socket)},
            "ttrpc": {"address": f"{self.socket}.ttrpc"},
            images: {"snapshotter": "overlayfs"},
            f"{images}.pinned_images": {"sandbox": self._pause},
            runtime: {
                # Without CAP_SYS_RESOURCE nobody may lower a process's score below its parent's.
                "restrict_oom_score_adj": not host.has_capability(host.CAP_SYS_RESOURCE),
                "disable_apparmor": True, "enable_selinux": False,
                "enable_unprivileged_ports": False, "enable_unprivileged_icmp": False, "cdi_spec_dirs": []},
            f"{runtime}.cni": {"use_internal_loopback": True, "bin_dirs": [str(self._plugins)], "conf_dir": f"{self.folder}/net.d"},
            f"{runtime}.containerd": {"default_runtime_name": "runc"},
            "plugins.'io.containerd.internal.v1.opt'": {"path": f"{self.folder}/opt"},
        }
        for name, program in {"runc": shutil.which("runc"), **self._runtimes}.items():
            tables[f"{runtime}.containerd.runtimes.{name}"] = {"runtime_type": "io.containerd.runc.v2"}
            tables[f"{runtime}.containerd.runtimes.{name}.options"] = {
                "BinaryName": str(program), "Root": f"{self.folder}/runc", "SystemdCgroup": False}
        lines = []
        for name, table in tables.items():
            lines += [f"[{name}]"] if name else []
            lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
        return "\n".join(lines) + "\n"

    def ctr(self, *args, check=True):
        command = [self.binaries / "ctr", f"--address={self.socket}", f"--namespace={NAMESPACE}", *args]
        done = subprocess.run([str(part) for part in self._enclosure.inside(*command)], capture_output=True, text=True,
                              check=False)
        assert not check or done.returncode == 0, f"ctr {' '.join(map(str, args))}: {done.stderr or done.stdout}"
        return done

    def import_image(self, archive):
        self.ctr("images", "import", archive)

    def kill_task(self, container_id):
        """SIGKILL to a container's first process: a crash."""
        self.ctr("tasks", "kill", "--signal=SIGKILL", container_id)

    def stop(self):
        if self.process is not None:
            self.process.stop()
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True, check=False)
