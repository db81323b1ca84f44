#!/usr/bin/env python3
"""Whatever CUDA_VISIBLE_DEVICES says, a GPU keeps its limit. Usage: visible_test.py BUILD_FOLDER"""
import in_child

A, B, C = in_child.GPUS
# Limits in MiB; the third GPU has none.
LIMITS = {A: 128, B: 64, C: 0}


class Visible(in_child.Container):
    limits = f"v1 fixed-share {A}:128:50 {B}:64:50"

    def sees(self, visible, *want):
        """The process sees these GPUs in this order, each with its limit, however it takes memory."""
        self.run_body(f"""
check("cuInit", 0)
count = c_int()
check("cuDeviceGetCount", byref(count))
assert count.value == {len(want)}, count.value
for device, mib in enumerate({[LIMITS[uuid] for uuid in want]}):
    total = c_size_t()
    check("cuDeviceTotalMem_v2", byref(total), device)
    assert total.value == mib * MIB, (device, total.value)
    use(device)
    assert len(fill(32 * MIB)) * 32 == mib, device
    check("cuDevicePrimaryCtxReset_v2", device)
    use(device)
    assert len(fill(32 * MIB, "cuMemAllocAsync", 0)) * 32 == mib, device
""", TESSERA_LIMITS=self.limits, CUDA_VISIBLE_DEVICES=visible)

    def test_indices_select_and_permute(self):
        self.sees("0", A)
        self.sees("1", B)
        self.sees("2,0", C, A)
        self.sees("1,0,2", B, A, C)

    def test_uuids_select_and_permute(self):
        self.sees(B, B)
        self.sees(f"{C},{B},{A}", C, B, A)

    def test_a_prefix_is_enough_where_it_is_unique(self):
        other = "GPU-bbbbbbbb-0000-0000-0000-000000000000"
        with open(f"{self.folder}/gpus", "w") as file:
            file.write(f"gpu uuid={A} memory_mib=1024\ngpu uuid={other} memory_mib=1024\n")
        for visible, want in [("GPU-b", 64), ("GPU-a", 128), ("GPU-b,GPU-a", 64)]:
            self.run_body(f"start()\nassert len(fill(32 * MIB)) * 32 == {want}",
                          TESSERA_LIMITS=f"v1 fixed-share {A}:128:50 {other}:64:50", CUDA_VISIBLE_DEVICES=visible)

    def test_the_list_ends_at_the_first_that_is_none(self):
        self.sees("1,7,0", B)
        self.sees(f"{B},GPU-ffffffff,{A}", B)

    def test_none_and_doubles_are_the_drivers_to_refuse(self):
        for visible in ["-1", "", "0,0", f"{A},{A}", "GPU-aaaaaaaa", "MIG-aaaaaaaa-0000-0000-0000-000000000000", "nonsense"]:
            body = 'print(call("cuInit", 0))'
            with self.subTest(visible):
                self.assertEqual(self.run_body(body, TESSERA_LIMITS=self.limits, CUDA_VISIBLE_DEVICES=visible),
                                 self.run_body(body, preload=False, CUDA_VISIBLE_DEVICES=visible))

    def test_two_processes_that_number_them_differently_share_each_limit(self):
        first = self.spawn('start()\nalloc(96 * MIB)\nprint("held", flush=True); sys.stdin.readline()',
                           TESSERA_LIMITS=self.limits, CUDA_VISIBLE_DEVICES="0,1")
        self.assertEqual(first.stdout.readline(), "held\n")
        self.run_body("start(1)\nassert len(fill(32 * MIB)) == 1\nuse(0)\nassert len(fill(32 * MIB)) == 2",
                      TESSERA_LIMITS=self.limits, CUDA_VISIBLE_DEVICES="1,0")
        first.communicate("\n", timeout=60)


if __name__ == "__main__":
    in_child.main()
