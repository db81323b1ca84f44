#!/usr/bin/env python3
"""cuGetProcAddress and dlsym lead to the function that the driver means, in our library if it is hooked.
Usage: lookup_test.py BUILD_FOLDER"""
import json
import os
import re

import in_child

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Asks for every name in every version and flavour; tells (library, symbol) of each answer by dladdr.
ASK = """
import json
class Info(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("base", c_void_p), ("symbol", ctypes.c_char_p), ("address", c_void_p)]
def whose(address):
    info = Info()
    if not address or not ctypes.CDLL(None).dladdr(c_void_p(address), byref(info)): return None
    return os.path.basename(info.file.decode()), (info.symbol or b"").decode()
check("cuInit", 0)
answers = []
for name in NAMES:
    for version in VERSIONS:
        for flags in (0, 1, 2):
            for ask in ("cuGetProcAddress", "cuGetProcAddress_v2"):
                found, status = c_void_p(), c_int(-1)
                args = [name.encode(), byref(found), c_int(version), c_ulonglong(flags)]
                result = getattr(driver, ask)(*args, *([byref(status)] if ask.endswith("_v2") else []))
                answers.append([name, version, flags, ask, result, status.value, whose(found.value)])
print(json.dumps(answers))
"""


def read(path):
    with open(f"{SOURCE}/{path}") as file:
        return file.read()


class LookUps(in_child.Container):
    driver_line = "driver cuda=13010\n"
    hooked = set(re.findall(r"^TESSERA_HOOK\((\w+)", read("interceptor/hooks.def"), re.M))
    simulated = re.findall(r'^TESSERA_SYMBOL\((\w+), "(\w+)", (\d+)', read("sim/cuda/symbols.def"), re.M)

    def ask(self, preload):
        names = sorted({name for _, name, _ in self.simulated} | {"cuNoSuchThing", "cuMemAlloc_v2", ""})
        versions = sorted({int(since) for *_, since in self.simulated} | {1, 12080, 13010})
        return json.loads(self.run_body(f"NAMES, VERSIONS = {names!r}, {versions!r}\n" + ASK, preload=preload))

    def test_the_function_is_the_one_that_the_driver_means(self):
        theirs, ours = self.ask(False), self.ask(True)
        self.assertGreater(len(theirs), 10_000)
        redirected = 0
        for bare, limited in zip(theirs, ours):
            self.assertEqual(bare[:6], limited[:6])
            if bare[6] is None:
                self.assertIsNone(limited[6], limited)
                continue
            library, symbol = bare[6]
            self.assertEqual(limited[6], ["libtessera.so" if symbol in self.hooked else library, symbol], limited[:4])
            redirected += symbol in self.hooked
        self.assertGreater(redirected, 1000)

    def test_dlsym_of_every_name(self):
        symbols = [symbol for symbol, *_ in self.simulated] + ["cuNoSuchThing", "curl_easy_init"]
        body = ASK[:ASK.index("check(")] + f"""
dl = ctypes.CDLL(None)
dl.dlsym.restype = c_void_p
print(json.dumps([whose(dl.dlsym(c_void_p(driver._handle), name.encode())) for name in {symbols!r}]))
"""
        for symbol, bare, limited in zip(symbols, json.loads(self.run_body(body, preload=False)),
                                         json.loads(self.run_body(body))):
            want = bare and ["libtessera.so" if symbol in self.hooked else bare[0], symbol]
            self.assertEqual(limited, want)

    def test_a_variant_of_a_later_driver_is_left_to_it(self):
        folder = f"{self.folder}/newer"
        os.makedirs(folder)
        os.symlink(f"{self.build}/tests/interceptor/libnewer_driver.so", f"{folder}/libcuda.so.1")
        body = ASK.replace('check("cuInit", 0)\n', "").replace("NAMES", '["cuMemAlloc", "cuMemFree"]').replace(
            "VERSIONS", "[13000, 14000, 15000]").replace('("cuGetProcAddress", "cuGetProcAddress_v2")', '("cuGetProcAddress_v2",)')
        answers = json.loads(self.run_body(body, LD_LIBRARY_PATH=folder))
        got = {(name, version): whose for name, version, *_, whose in answers}
        self.assertEqual(got, {
            ("cuMemAlloc", 13000): ["libtessera.so", "cuMemAlloc_v2"], ("cuMemFree", 13000): ["libtessera.so", "cuMemFree_v2"],
            ("cuMemAlloc", 14000): ["libtessera.so", "cuMemAlloc_v2"], ("cuMemFree", 14000): ["libtessera.so", "cuMemFree_v2"],
            ("cuMemAlloc", 15000): ["libcuda.so.1", "cuMemAlloc_v3"], ("cuMemFree", 15000): ["libtessera.so", "cuMemFree_v2"]})


if __name__ == "__main__":
    in_child.main()
