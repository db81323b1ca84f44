"""Fixtures: one control plane for all tests, one installation of Tessera on it, a clean slate for each test."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cluster.control_plane import ControlPlane  # noqa: E402
from cluster.processes import wait_for  # noqa: E402
from cluster.tessera import NAMESPACE, Tessera  # noqa: E402


def tool(name):
    """The folder that build_tools keeps NAME's programs in; builds them if need be."""
    done = subprocess.run([HERE / "build_tools", name], stdout=subprocess.PIPE, text=True, check=True)
    return pathlib.Path(done.stdout.strip().splitlines()[-1])


def own_address():
    """An address of this machine that is not the loopback: what a Service may point at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return probe.getsockname()[0]


@pytest.fixture(scope="session")
def version():
    return os.environ.get("E2E_KUBERNETES", "1.36")


@pytest.fixture(scope="session")
def helm():
    return tool("helm") / "helm"


@pytest.fixture(scope="session")
def programs():
    folder = pathlib.Path(os.environ.get("E2E_PROGRAMS", HERE.parents[1] / "build/release/bin"))
    assert (folder / "tessera-extender").exists(), f"{folder}: run `make build` first, or `make e2e`"
    return folder


@pytest.fixture(scope="session")
def plane(version):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-e2e-"))
    plane = ControlPlane(folder, tool(f"kubernetes-{version}"), tool("etcd"), own_address())
    try:
        plane.start()
        install_crds(plane)
        yield plane
    finally:
        plane.stop()
        if os.environ.get("E2E_KEEP"):
            print(f"\nlogs and state are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def install_crds(plane):
    """Kinds of others that manifests may hold; until kubectl finds them."""
    crds = sorted(tool("crds").glob("*.yaml"))
    plane.kubectl("apply", "--server-side", *[f"-f={path}" for path in crds])
    for name in plane.kubectl("get", "--output=name", *[f"-f={path}" for path in crds]).stdout.split():
        kind = name.partition("/")[2]
        wait_for(kind, lambda k=kind: plane.kubectl("get", k, "--all-namespaces", check=False).returncode == 0, interval=0.2)


@pytest.fixture(scope="session")
def tessera(plane, programs, helm):
    """The chart, installed; nothing runs yet."""
    tessera = Tessera(plane, programs, helm)
    tessera.install()
    return tessera


@pytest.fixture(scope="session")
def webhook(tessera):
    return tessera.start_webhook()


@pytest.fixture(scope="session")
def extender(tessera):
    return tessera.start_extender()


@pytest.fixture(scope="session")
def scheduler(tessera, extender):
    return tessera.start_scheduler(extender)


@pytest.fixture
def api(plane):
    """The admin, on a cluster without pods and nodes; both are gone again afterwards."""
    clean(plane.admin)
    yield plane.admin
    clean(plane.admin)


@pytest.fixture
def cluster(api, tessera, webhook, extender, scheduler):
    """The admin's API with all of Tessera running, which has heard that the cluster is empty."""
    for process in (webhook, extender, scheduler):
        process.check()
    tessera.extender_knows(extender)
    return api


def clean(admin):
    for space in admin.list("namespaces"):
        name = space["metadata"]["name"]
        if name.startswith("kube-") or name == NAMESPACE:
            continue
        for kind in ("deployments", "jobs", "replicasets", "resourcequotas", "pods", "events"):
            admin.delete_all(kind, name)
        if name != "default":
            admin.delete("namespaces", name)
    admin.request("DELETE", admin.path("nodes"), {"gracePeriodSeconds": 0})
    wait_for("an empty cluster", lambda: not admin.list("pods") and not admin.list("nodes"), interval=0.2)


def pytest_configure(config):
    # Our own processes' health and metrics, on the loopback.
    config.addinivalue_line("filterwarnings", "ignore:Unverified HTTPS request")


def pytest_terminal_summary(terminalreporter, config):
    for line in getattr(config, "figures", []):
        terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test tells the ends of the logs."""
    outcome = yield
    report = outcome.get_result()
    plane = item.funcargs.get("plane")
    if report.failed and plane is not None:
        for process in plane.processes:
            if process.name.startswith("tessera") or process.name.split("-")[0] in (
                    "webhook", "extender", "agent", "kubelet", "containerd"):
                report.sections.append((f"end of {process.log}", process.tail()))
