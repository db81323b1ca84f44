#!/usr/bin/env python3
"""Is every way to take memory or to launch hooked, in every version and flavour, or left alone for a reason?
Usage: entry_points_test.py SOURCE_FOLDER [INCLUDE_FOLDER...]"""
import os
import re
import sys
import unittest

from abi_test import header_folders

SOURCE, *INCLUDE = sys.argv[1:]
del sys.argv[1:]


def read(path):
    with open(path) as file:
        return file.read()


def listed():
    """reason -> names"""
    reasons = {}
    for line in read(f"{SOURCE}/tests/interceptor/entry_points.txt").splitlines():
        if line.startswith("= "):
            names = reasons.setdefault(line[2:], [])
        elif line and not line.startswith("#"):
            names += line.split()
    return reasons


def rows():
    """(symbol, name, version, is it of the per-thread stream)"""
    found = re.findall(r'^TESSERA_HOOK\((\w+), "(\w+)", (\d+), (\w+)\)', read(f"{SOURCE}/interceptor/hooks.def"), re.M)
    return [(symbol, name, int(since), stream == "PerThread") for symbol, name, since, stream in found]


class EntryPoints(unittest.TestCase):
    hooked = {symbol for symbol, *_ in rows()}

    def vendors(self, name):
        folder = header_folders("cuda.h", INCLUDE)
        path = f"{folder}/{name}"
        if folder is None or not os.path.exists(path):
            self.skipTest(f"no {name} here")
        return read(path)

    def test_the_table_has_what_the_list_says(self):
        self.assertEqual(self.hooked, set(listed()["hooked"]))

    def test_nothing_is_listed_twice(self):
        names = [name for names in listed().values() for name in names]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_what_the_simulated_driver_has_is_listed(self):
        names = {name for names in listed().values() for name in names}
        simulated = set(re.findall(r"^TESSERA_SYMBOL\((\w+)", read(f"{SOURCE}/sim/cuda/symbols.def"), re.M))
        self.assertEqual(simulated - names, set())

    def test_every_hook_is_simulated(self):
        simulated = set(re.findall(r"^TESSERA_SYMBOL\((\w+)", read(f"{SOURCE}/sim/cuda/symbols.def"), re.M))
        # Formats and calls that need what no simulation has: files with machine code, pools of managed memory.
        self.assertEqual(self.hooked - simulated, {"cuLibraryLoadFromFile", "cuMemSetMemPool", "cuGraphInstantiate"} - simulated)

    def test_a_flavour_of_a_hooked_function_is_hooked(self):
        names = {name for names in listed().values() for name in names}
        for symbol in self.hooked:
            stem = re.sub(r"(_v\d+)?(_pts?d?[sz])?$", "", symbol)
            family = {name for name in names if re.fullmatch(stem + r"(_v\d+)?(_ptsz|_ptds)?", name)}
            self.assertEqual(family - self.hooked, set())

    def test_what_the_vendors_header_has_is_listed(self):
        header = self.vendors("cuda.h")
        names = {name for names in listed().values() for name in names}
        declared = set(re.findall(r"^CUresult CUDAAPI (cu\w+)\(", header, re.M))
        self.assertGreater(len(declared), 380)
        self.assertEqual(declared - names, set())

    def test_every_version_of_a_hooked_name_has_a_row(self):
        """What cuGetProcAddress would give a program of that version must not be given another one's parameters."""
        theirs = re.findall(r"PFN_(cu\w+?)_v(\d+)(_ptsz|_ptds)?\)", self.vendors("cudaTypedefs.h"))
        ours = {(name, since, per_thread) for _, name, since, per_thread in rows()}
        hooked = {name for name, *_ in ours}
        versions = {(name, int(since), bool(flavour)) for name, since, flavour in theirs if name in hooked}
        self.assertGreater(len(versions), 80)
        self.assertEqual(versions - ours, set())


if __name__ == "__main__":
    unittest.main()
