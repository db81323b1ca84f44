#!/usr/bin/env python3
"""Preset `interceptor` builds the library and nothing else, without any package. Usage: alone_test.py SOURCE_FOLDER"""
import json
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = sys.argv.pop(1)
PACKAGES = ["PkgConfig", "OpenSSL", "CURL", "RapidJSON", "spdlog", "prometheus-cpp", "yaml-cpp", "CLI11", "GTest",
            "benchmark", "Python3"]


class Alone(unittest.TestCase):
    def test_the_library_alone_is_built_and_no_package_is_looked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            # A package that is disabled and required stops the configuration.
            hidden = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON" for package in PACKAGES]
            configured = subprocess.run(["cmake", "--preset", "interceptor", "-B", folder, *hidden], cwd=SOURCE,
                                        capture_output=True, text=True)
            self.assertEqual(configured.returncode, 0, configured.stderr)
            with open(f"{folder}/compile_commands.json") as file:
                commands = json.load(file)
            sources = [command["file"].removeprefix(f"{SOURCE}/") for command in commands]
            self.assertIn("interceptor/hooks_memory.cc", sources)
            self.assertEqual([source for source in sources if not source.startswith("interceptor/")], [])
            plan = subprocess.run(["ninja", "-C", folder, "-n", "-v"], capture_output=True, text=True, check=True).stdout
            self.assertEqual(set(re.findall(r" -o (lib/\S+|bin/\S+)", plan)), {"lib/libtessera.so"})


if __name__ == "__main__":
    unittest.main()
