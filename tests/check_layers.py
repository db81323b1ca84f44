#!/usr/bin/env python3
"""Dependencies between rooms run one way (architecture.md). Usage: check_layers.py REPOSITORY."""
import pathlib
import re
import sys

# room -> the rooms whose headers it may include (its own always)
ALLOWED = {
    "common/base": [],
    "common/abi": [],
    "common/json": ["common/base"],
    "common/http": ["common/base", "common/json"],
    "common/kube": ["common/base", "common/json"],
    "common/app": ["common/base", "common/http", "common/kube"],
    "common/contract": ["common/base", "common/json", "binpack"],
    "binpack": ["common/base"],
    "interceptor/region": ["common/base"],
    "interceptor": ["interceptor/region", "common/base", "common/abi", "common/contract/names.h"],
    "extender": ["binpack", "common"],
    "webhook": ["binpack", "common"],
    "agent/arbiter": ["common/base", "interceptor/region"],
    "agent/busy": ["agent/arbiter/busy_sample.h", "common/abi", "common/base"],
    "agent/mps": ["common/base", "common/contract/names.h"],
    "agent": ["agent/arbiter", "agent/busy", "agent/mps", "binpack", "common", "interceptor/region"],
    "cli": ["binpack", "common"],
    "sim": ["common", "binpack", "interceptor/region"],
}
# What the simulated driver, the library, the arbiter and MPS may use of common/base: no third-party library behind it.
HEADER_ONLY_ROOMS = ("agent/arbiter", "agent/busy", "agent/mps", "interceptor", "sim/cuda", "sim/gpu", "sim/nvml")
RUNTIME_HEADERS = ("common/base/log.h", "common/base/shutdown.h")
# third-party header prefix -> where it may stand
EDGES = {
    "httplib.h": ["common/http"],
    "curl/": ["common/kube"],
    "openssl/": ["common/http", "webhook/certificates", "sim/kube"],
    "rapidjson/": ["common/json", "common/contract", "common/kube", "*/wire", "sim"],
    "prometheus/": ["common/http", "extender", "webhook", "agent"],
    "yaml-cpp/": ["common/kube", "*/config", "sim"],
    "spdlog/": ["common/base"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    for room in sorted(ALLOWED, key=len, reverse=True):
        if path == room or path.startswith(room + "/"):
            return room
    return None


def edge_allows(path, places):
    for place in places:
        if place.startswith("*/"):
            if re.search(r"(^|/)" + place[2:] + r"[^/]*$", path):
                return True
        elif path.startswith(place):
            return True
    return False


def problems_of(path, text):
    room = room_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = match.group(2)
        where = f"{path}:{number}"
        for prefix, places in EDGES.items():
            if target.startswith(prefix) and not edge_allows(path, places):
                yield f"{where}: {target} may stand only in {', '.join(places)}"
        if match.group(1) == "<":
            continue
        other = room_of(target)
        if other is None:
            if not target.startswith("tests/"):
                yield f"{where}: {target} is not rooted at the repository, or in no room"
            else:
                yield f"{where}: product code must not include {target}"
        elif other != room and not any(
                target == a or target.startswith(a + "/") for a in ALLOWED[room]):
            yield f"{where}: {room} must not include {other} ({target})"
        if room in HEADER_ONLY_ROOMS and target in RUNTIME_HEADERS:
            yield f"{where}: {target} has spdlog behind it; {room} links no third-party library"


def main():
    root = pathlib.Path(sys.argv[1])
    found, files = [], 0
    for room in {r.split("/")[0] for r in ALLOWED}:
        for file in sorted((root / room).rglob("*")):
            if file.suffix in (".h", ".cc", ".def"):
                files += 1
                path = str(file.relative_to(root))
                found += problems_of(path, file.read_text(encoding="utf-8"))
    print(f"{files} files read, {len(found)} problems", *found, sep="\n")
    return 1 if found or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
