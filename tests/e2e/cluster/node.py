"""A node of its own on this machine: containerd, kubelet and agent, with our images and simulated GPUs."""
import pathlib
import shutil

from cluster import host, images
from cluster.containerd import Containerd
from cluster.kubelet import Kubelet
from cluster.processes import wait_for
from cluster.tessera import LIBRARY_IMAGE, REPOSITORY

WORKLOAD = pathlib.Path(__file__).resolve().parents[1] / "workload"
GPUS = [f"GPU-e2e00000-0000-0000-0000-00000000000{i}" for i in range(2)]
GPU_MIB = 1024


def gpu_file():
    return "driver version=580.95.05 cuda=13000\n" + "".join(
        f'gpu uuid={uuid} model="NVIDIA A100-SXM4-80GB" memory_mib={GPU_MIB} sms=108 numa=0\n' for uuid in GPUS)


def missing(folder):
    """Why no kubelet can run on this machine, or None."""
    for program in ("runc", "unshare", "nsenter", "ip", "gcc", "g++", "ldd"):
        if shutil.which(program) is None:
            return f"the program {program} is missing"
    return host.missing(folder)


class Node:
    """start() until the node is ready and its GPUs are known; stop() leaves the machine as it was."""

    def __init__(self, tessera, containerd, plugins, name="kubelet-node"):
        """`containerd`, `plugins`: folders that build_tools printed."""
        self._tessera, self.name = tessera, name
        # Sockets are here, and the path of a socket is short.
        self.folder = tessera.plane.folder / "n"
        run = tessera.plane.run
        self._enclosure = host.Enclosure(run, self.folder / "enclosure", tessera.plane.folder.name)
        self.runtime = Containerd(run, self._enclosure, self.folder / "containerd", containerd, plugins, images.PAUSE,
                                  {"nvidia": WORKLOAD / "simulated_nvidia_runtime"})
        self.kubelet = Kubelet(tessera.plane, self._enclosure, self.folder / "kubelet", name, self.runtime)
        self.agent = None

    def start(self):
        self._enclosure.start()
        self.runtime.start()
        for image in self._images():
            archive = images.write(image, self.folder / "image.tar")
            self.runtime.import_image(archive)
            archive.unlink()
        self.kubelet.start()
        self.agent = self._tessera.start_agent(self.name, gpu_file(), self.kubelet, mps=True)
        wait_for("the node's GPUs", self._has_gpus, 60, 0.2)
        return self

    def _images(self):
        build = self.folder / "build"
        build.mkdir()
        lib = self._tessera.programs.parent / "lib"
        return [images.pause(build, WORKLOAD), images.library(lib, LIBRARY_IMAGE),
                images.tenant(build, WORKLOAD, REPOSITORY, lib, gpu_file())]

    def _has_gpus(self):
        """The kubelet takes capacity over into what may be allocated."""
        self.agent.check()
        node = self._tessera.admin.get("nodes", self.name)
        return node["status"].get("allocatable", {}).get("tessera.dev/gpu") == str(100 * len(GPUS))

    def stop(self):
        for process in (self.agent, self.kubelet, self.runtime, self._enclosure):
            if process is not None:
                process.stop()
        self._tessera.stop_mps()
        self._tessera.admin.delete("nodes", self.name)
