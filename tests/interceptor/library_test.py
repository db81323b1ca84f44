#!/usr/bin/env python3
"""What libtessera.so is as a file: style of a good guest. Usage: library_test.py BUILD_FOLDER SOURCE_FOLDER"""
import re
import subprocess
import sys
import unittest

BUILD, SOURCE = sys.argv.pop(1), sys.argv.pop(1)
LIBRARY = f"{BUILD}/lib/libtessera.so"
GLIBC_FLOOR = (2, 17)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Library(unittest.TestCase):
    def test_exports_are_the_rows_of_the_table_and_dlsym(self):
        with open(f"{SOURCE}/interceptor/hooks.def") as file:
            rows = re.findall(r"^TESSERA_(?:NVML_)?HOOK\((\w+)", file.read(), re.M)
        self.assertEqual(len(rows), len(set(rows)), "a doubled row")
        self.assertGreater(len(rows), 20)
        exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", LIBRARY).splitlines()}
        self.assertEqual(exported, set(rows) | {"dlsym"})

    def test_runs_nothing_at_load(self):
        sections = run("readelf", "-S", "-W", LIBRARY)
        size = int(re.search(r"\.init_array\s+\S+\s+\S+\s+\S+\s+(\S+)", sections).group(1), 16)
        self.assertLessEqual(size, 8, "only the compiler's own frame_dummy may stand there")
        symbols = run("nm", "-C", LIBRARY)
        self.assertNotRegex(symbols, r"_GLOBAL__sub_I|__static_initialization")

    def test_runs_in_old_containers(self):
        versions = re.findall(r"@+GLIBC_(\d+)\.(\d+)", run("nm", "-D", LIBRARY))
        self.assertTrue(versions)
        newest = max((int(major), int(minor)) for major, minor in versions)
        self.assertLessEqual(newest, GLIBC_FLOOR)

    def test_needs_libc_alone(self):
        needed = re.findall(r"NEEDED.*\[(.+)\]", run("readelf", "-d", LIBRARY))
        self.assertEqual(sorted(needed), ["libc.so.6", "libdl.so.2", "libpthread.so.0"])

    def test_calls_the_driver_through_its_table_only(self):
        undefined = [line.split()[-1] for line in run("nm", "-D", "--undefined-only", LIBRARY).splitlines()]
        for symbol in undefined:
            self.assertNotRegex(symbol, r"^(cu|nvml)[A-Z]")
            self.assertNotRegex(symbol, r"^(_Z|__cxa_throw|__tls_get_addr|exit|abort|malloc|printf)")

    def test_changes_no_symbol_version_of_its_callers(self):
        self.assertNotIn("VERDEF", run("readelf", "-d", LIBRARY), "a versioned dlsym would not be found")


if __name__ == "__main__":
    unittest.main()
