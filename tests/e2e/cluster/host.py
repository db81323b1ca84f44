"""What a kubelet and a container runtime need of this machine, and how to leave it as it was."""
import os
import pathlib
import signal
import subprocess

from cluster.processes import wait_for

CGROUPS = pathlib.Path("/sys/fs/cgroup")
# The kubelet sets these, and says nothing.
TUNABLES = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
            "kernel/keys/root_maxbytes")
CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_SYS_RESOURCE = 21, 12, 24


def has_capability(number):
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def is_cgroup_v2():
    return (CGROUPS / "cgroup.controllers").exists()


def hierarchies():
    """The folders in which a cgroup is made: one for each hierarchy."""
    if is_cgroup_v2():
        return [CGROUPS]
    return sorted(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()
                  and ((path / "tasks").exists() or (path / "cgroup.procs").exists()))


def _try(what, *command):
    """None if the command works, else what the machine does not allow and in whose words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"{what}: `{' '.join(map(str, command))}` says {done.stderr.strip()!r}"


def missing(folder):
    """Why a kubelet cannot run here, or None. Tries things below `folder`, and undoes them."""
    if not os.uname().sysname == "Linux":
        return f"a kubelet needs Linux, this is {os.uname().sysname}"
    if os.geteuid() != 0:
        return f"not root (user id {os.geteuid()})"
    for name, number in (("CAP_SYS_ADMIN", CAP_SYS_ADMIN), ("CAP_NET_ADMIN", CAP_NET_ADMIN)):
        if not has_capability(number):
            return f"the capability {name} is missing"
    present = {path.name for path in hierarchies()} if CGROUPS.is_dir() else set()
    wanted = {"cpu", "cpuset", "memory", "pids", "devices", "freezer"}
    if is_cgroup_v2():
        present, wanted = set((CGROUPS / "cgroup.controllers").read_text().split()), {"cpu", "cpuset", "memory", "pids"}
    if not wanted <= present:
        return f"{CGROUPS} lacks the cgroup controllers {', '.join(sorted(wanted - present))}"
    try:
        (hierarchies()[0] / folder.name).mkdir()
        (hierarchies()[0] / folder.name).rmdir()
    except OSError as error:
        return f"no cgroup can be made: {error}"
    return _missing_mounts(folder) or _missing_network(folder)


def _missing_mounts(folder):
    for name in ("lower", "upper", "work", "mount"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    mount = folder / "mount"
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    for command in (["mount", "-t", "tmpfs", "tmpfs", mount], ["mount", "-t", "overlay", "-o", layers, "overlay", mount]):
        problem = _try("nothing can be mounted", *command)
        if problem:
            return problem
        subprocess.run(["umount", mount], check=True)
    return None


def _missing_network(folder):
    name = "e2e" + folder.name[-8:]
    problem = _try("no network bridge can be made", "ip", "link", "add", name, "type", "bridge") \
        or _try("no veth pair can be made", "ip", "link", "add", name + "-a", "type", "veth", "peer", "name", name + "-b")
    for link in (name, name + "-a"):
        subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    return problem


class Tunables:
    """Use as a context: what the kubelet changes in the kernel's settings is changed back."""

    def __enter__(self):
        self._before = {name: pathlib.Path("/proc/sys", name).read_text() for name in TUNABLES}
        return self

    def __exit__(self, *_):
        for name, value in self._before.items():
            path = pathlib.Path("/proc/sys", name)
            if path.read_text() != value:
                path.write_text(value)


class Enclosure:
    """A mount namespace and a cgroup of our own for a kubelet, its runtime and what they start. Mounts end with the
    namespace, processes are ended by the cgroup, and the folders that Kubernetes uses whatever it is told are empty ones."""

    FIXED = ("/run", "/var/lib", "/var/log")

    def __init__(self, run, folder, name):
        """`run`: starts a Process, see ControlPlane.run. `name`: of the cgroup."""
        self._run, self.folder, self.name, self._holder = run, pathlib.Path(folder), name, None

    def start(self):
        self.folder.mkdir(parents=True)
        for hierarchy in hierarchies():
            for path in (hierarchy / self.name, hierarchy / self.name / "runtime"):
                path.mkdir()
                # A cpuset of version 1 starts empty, and takes no process until it names CPUs and memory.
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    if (path / setting).exists() and not is_cgroup_v2():
                        (path / setting).write_text((hierarchy / setting).read_text())
        mounts = " && ".join(f"mount -t tmpfs -o mode=755 tmpfs {path}" for path in self.FIXED)
        self._holder = self._run("enclosure", "unshare", "--mount", "--propagation=private", "sh", "-c",
                                 f"{mounts} && touch {self.folder}/ready && exec sleep infinity")
        wait_for("a mount namespace", lambda: self._holder.check() or (self.folder / "ready").exists())
        return self

    def inside(self, *command):
        """The command as it runs inside, in the same process."""
        procs = [str(hierarchy / self.name / "runtime" / "cgroup.procs") for hierarchy in hierarchies()]
        join = "".join(f"echo $$ > {path} && " for path in procs)
        return ["nsenter", f"--mount=/proc/{self._holder.child.pid}/ns/mnt", "sh", "-c", f'{join}exec "$@"', "sh", *command]

    def stop(self):
        """Ends whatever still runs inside; then nothing is left of it."""
        if self._holder is not None:
            self._holder.stop()
        for hierarchy in hierarchies():
            if (hierarchy / self.name).exists():
                wait_for("an empty cgroup", lambda top=hierarchy / self.name: self._remove(top), 20)

    @staticmethod
    def _remove(top):
        for folder, _, _ in os.walk(top, topdown=False):
            for pid in (pathlib.Path(folder) / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            os.rmdir(folder)
        return True
