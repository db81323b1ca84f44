"""Container images without a registry or a base image: our own programs and the shared libraries that they need."""
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile

TENANT = "tessera.invalid/tenant:1"
PAUSE = "tessera.invalid/pause:1"
EPOCH = 1767225600  # the same files make the same image
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


@dataclasses.dataclass
class Image:
    """What an image is made of. `files`: path in the image -> file of this machine, or its content as bytes."""
    name: str
    files: dict
    entrypoint: list = dataclasses.field(default_factory=list)
    env: dict = dataclasses.field(default_factory=dict)
    user: str = ""


def closure(*programs, folders=()):
    """The loader and the shared libraries of ELF files, as path in the image -> path here. `folders`: searched first."""
    env = {"LD_LIBRARY_PATH": ":".join(map(str, folders)), "LC_ALL": "C"}
    found = {}
    for program in programs:
        text = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True, env=env).stdout
        assert "not found" not in text, f"{program}: {text}"
        for path in re.findall(r"(/\S+) \(0x", text):
            # The loader's name is part of each program; every other library is found by its own name.
            name = path if "/ld-linux" in path else f"/lib/{pathlib.Path(path).name}"
            found[name] = pathlib.Path(path).resolve()
    return found


def _layer(image):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folders = {str(parent) for path in image.files for parent in pathlib.PurePosixPath(path).parents} - {"/"}
        # Where Kubernetes mounts things in every container; a read-only root cannot get them later.
        for folder in sorted(folders | {"/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/var/run/secrets"}):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o1777 if folder == "/tmp" else 0o755, EPOCH
            tar.addfile(entry)
        for path, source in sorted(image.files.items()):
            content = source if isinstance(source, bytes) else pathlib.Path(source).read_bytes()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.mtime = len(content), 0o644 if isinstance(source, bytes) else 0o755, EPOCH
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _blob(tar, content, media_type):
    """Adds a blob; returns its descriptor."""
    if not isinstance(content, bytes):
        content = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()
    _add(tar, f"blobs/sha256/{digest}", content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o644, EPOCH
    tar.addfile(entry, io.BytesIO(content))


def write(image, path):
    """Writes an OCI image layout as a tar archive, which `ctr images import` and other tools read."""
    oci = "application/vnd.oci.image"
    layer = _layer(image)
    config = {
        "architecture": ARCHITECTURE, "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"] + [f"{key}={value}" for key, value in image.env.items()], "WorkingDir": "/",
                   **({"Entrypoint": image.entrypoint} if image.entrypoint else {}),
                   **({"User": image.user} if image.user else {})},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}}
    with tarfile.open(path, "w") as tar:
        manifest = {"schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json",
                    "config": _blob(tar, config, f"{oci}.config.v1+json"),
                    "layers": [_blob(tar, layer, f"{oci}.layer.v1.tar")]}
        entry = _blob(tar, manifest, f"{oci}.manifest.v1+json")
        entry["annotations"] = {"io.containerd.image.name": image.name}
        entry["platform"] = {"architecture": ARCHITECTURE, "os": "linux"}
        index = {"schemaVersion": 2, "mediaType": f"{oci}.index.v1+json", "manifests": [entry]}
        _add(tar, "index.json", json.dumps(index).encode())
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    return path


# --- The recipes ----------------------------------------------------------------------------------------------------

def library(lib, name):
    """libtessera.so at the root, for image volumes; and `cp`, which the init-container delivery calls."""
    return Image(name, {"/libtessera.so": lib / "libtessera.so", "/bin/cp": pathlib.Path("/bin/cp"), **closure("/bin/cp")},
                 user="65532")


def pause(folder, sources):
    """What holds a pod's namespaces. `folder`: where the program may be built."""
    program = folder / "pause"
    subprocess.run(["gcc", "-Os", "-static", "-o", program, sources / "pause.c"], check=True)
    return Image(PAUSE, {"/pause": program}, ["/pause"], user="65535")


def tenant(folder, sources, repository, lib, gpus):
    """A CUDA program with the simulated driver. `lib`: where our libraries are; `gpus`: text of a TESSERA_SIM_GPUS file."""
    program = folder / "tenant"
    simulated = lib / "sim"
    subprocess.run(["g++", "-std=c++20", "-O1", "-Wall", "-Wextra", f"-I{repository}", "-o", program, sources / "tenant.cc",
                    f"-L{simulated}", "-lcuda"], check=True)
    libraries = {f"/lib/{name}": simulated / name for name in ("libcuda.so.1", "libnvidia-ml.so.1")}
    files = {"/bin/tenant": program, "/etc/gpus": gpus.encode(), **libraries,
             # libtessera.so needs libdl and libpthread, which every glibc brings along; so must this one.
             **closure(program, *libraries.values(), lib / "libtessera.so", folders=[simulated])}
    return Image(TENANT, files, ["/bin/tenant"], {"TESSERA_SIM_GPUS": "/etc/gpus"}, user="1000")
