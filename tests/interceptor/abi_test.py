#!/usr/bin/env python3
"""Are the headers in common/abi what the vendor's headers say? Two generated programs, one for either header, print
every constant, size, offset and function type that ours declares; their output must be equal.
Usage: abi_test.py SOURCE_FOLDER [INCLUDE_FOLDER...]. Exits with 77 (skipped) where no vendor header is found."""
import glob
import os
import re
import subprocess
import sys
import tempfile

SKIPPED = 77
PRELUDE = """
#include <cstddef>
#include <cstdio>
template <typename T> const char* TypeName() { return __PRETTY_FUNCTION__; }
#define VALUE(x) std::printf("%s = %lld\\n", #x, static_cast<long long>(x));
#define SIZE(t) std::printf("sizeof %s = %zu\\n", #t, sizeof(t));
#define OFFSET(t, m) std::printf("%s.%s at %zu, %zu bytes\\n", #t, #m, offsetof(t, m), sizeof(static_cast<t*>(nullptr)->m));
#define TYPE(f) std::printf("%s: %s\\n", #f, TypeName<decltype(&f)>());
int main() {
"""


def header_folders(name, extra):
    home = [os.environ[v] + "/include" for v in ("CUDA_HOME", "CUDA_PATH") if v in os.environ]
    patterns = [*extra, *home, "/usr/local/cuda*/include", "/usr/local/cuda*/targets/*/include", "/usr/include",
                *[p + "/nvidia/*/include" for p in sys.path], *[p + "/triton/backends/nvidia/include" for p in sys.path]]
    found = (folder for pattern in patterns for folder in sorted(glob.glob(pattern)))
    return next((folder for folder in found if os.path.exists(f"{folder}/{name}")), None)


def probe_lines(text):
    """What our header declares, as calls of the macros above."""
    text = re.sub(r"//.*", "", text)
    for body in re.findall(r"enum[^{;]*\{(.*?)\}", text, re.S):
        for constant in re.findall(r"(?:^|,)\s*(\w+)\s*=", body):
            yield f"VALUE({constant})"
    for body, name in re.findall(r"typedef (?:struct|union) \w+ \{(.*?)\n\} (\w+);", text, re.S):
        yield f"SIZE({name})"
        body = re.sub(r"struct \{.*?\} (\w+);", r"int \1;", body, flags=re.S)
        for member in re.findall(r"(\w+)(?:\[\w+\])?;", body):
            yield f"OFFSET({name}, {member})"
    for function in re.findall(r"^(?:CUresult|nvmlReturn_t|const char\*) (\w+)\(", text, re.M):
        yield f"TYPE({function})"


def output_of(folder, name, include, lines, flags):
    source, program = f"{folder}/{name}.cc", f"{folder}/{name}"
    with open(source, "w") as file:
        file.write(f"#include {include}\n{PRELUDE}" + "\n".join(lines) + "\n}\n")
    compiled = subprocess.run(["g++", "-std=c++20", "-w", *flags, source, "-o", program], capture_output=True, text=True)
    missing = set(re.findall(r"‘(\w+)’ was not declared", compiled.stderr))
    if missing:
        kept = [line for line in lines if not any(re.search(rf"\b{m}\b", line) for m in missing)]
        return output_of(folder, name, include, kept, flags)[0], missing
    if compiled.returncode != 0:
        sys.exit(compiled.stderr)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines(), missing


def normal(line, enums):
    """An enum that ours leaves out is an int there; a struct's tag may carry a version (its layout is compared)."""
    line = re.sub(r"\b\w+_enum\b", lambda m: m[0] if m[0] in enums else "int", line)
    return re.sub(r"(_v\d+)?_st\b", "_st", line)


def compare(headers, name, vendor, source, include_folder):
    lines = list(dict.fromkeys(probe_lines(headers[name])))
    enums = set(re.findall(r"enum (\w+_enum)", "".join(headers.values())))
    with tempfile.TemporaryDirectory() as folder:
        ours, _ = output_of(folder, "ours", f'"common/abi/{name}"', lines, [f"-I{source}"])
        # Without these the vendor's macros rename functions and hide the old ones.
        flags = [f"-I{include_folder}", "-D__CUDA_API_VERSION_INTERNAL", "-DNVML_NO_UNVERSIONED_FUNC_DEFS"]
        theirs, missing = output_of(folder, "theirs", f"<{vendor}>", lines, flags)
    ours = [line for line in ours if not any(re.match(rf"{m}\b|sizeof {m}\b", line) for m in missing)]
    different = [f"  ours   {a}\n  theirs {b}" for a, b in zip(ours, theirs)
                 if normal(a, enums) != normal(b, enums)]
    print(f"{name}: {len(theirs)} facts compared with {include_folder}, {len(different)} differ")
    if missing:
        print(f"  not in that version of the header: {', '.join(sorted(missing))}")
    print("\n".join(different), end="\n" if different else "")
    return len(ours) == len(theirs) and not different and len(theirs) > 10


def main():
    source, extra = sys.argv[1], sys.argv[2:]
    good, compared = True, 0
    headers = {}
    for path in sorted(glob.glob(f"{source}/common/abi/*.h")):
        with open(path) as file:
            headers[os.path.basename(path)] = file.read()
    for name in headers:
        vendor = "nvml.h" if name.startswith("nvml") else "cuda.h"
        folder = header_folders(vendor, extra)
        if folder is None:
            print(f"{name}: no CUDA toolkit here, nothing to compare with")
            continue
        compared += 1
        good = compare(headers, name, vendor, source, folder) and good
    sys.exit(SKIPPED if compared == 0 else 0 if good else 1)


if __name__ == "__main__":
    main()
