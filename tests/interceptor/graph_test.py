#!/usr/bin/env python3
"""Memory of graphs is charged while the device gives it. Usage: graph_test.py BUILD_FOLDER"""
import in_child


class Graphs(in_child.Container):
    def test_it_is_charged_when_the_graph_takes_it_and_returned_when_it_is_trimmed(self):
        self.run_body("""
start()
graph, ptrs = graph_of(20 * MIB, 20 * MIB)
exec = instantiate(graph)
assert free_bytes() == LIMIT, "nothing is taken before it runs"
check("cuGraphLaunch", exec, 0)
assert graph_reserved() == 64 * MIB and free_bytes() == LIMIT - 64 * MIB
check("cuMemFree_v2", ptrs[0])
check("cuMemFreeAsync", ptrs[1], 0)
check("cuCtxSynchronize")
assert free_bytes() == LIMIT - 64 * MIB, "kept for the next launch"
check("cuGraphLaunch", exec, 0)
assert free_bytes() == LIMIT - 64 * MIB
for ptr in ptrs: check("cuMemFree_v2", ptr)
check("cuGraphExecDestroy", exec)
check("cuDeviceGraphMemTrim", 0)
assert free_bytes() == LIMIT
""")

    def test_every_way_to_make_and_start_one_is_held_to_the_limit(self):
        makes = {"cuGraphInstantiate": "e, g, None, None, 0", "cuGraphInstantiate_v2": "e, g, None, None, 0",
                 "cuGraphInstantiateWithFlags": "e, g, 0", "cuGraphInstantiateWithParams": "e, g, bytes(64)",
                 "cuGraphInstantiateWithParams_ptsz": "e, g, bytes(64)"}
        for make, args in makes.items():
            for go in ["cuGraphLaunch", "cuGraphLaunch_ptsz", "cuGraphUpload", "cuGraphUpload_ptsz"]:
                for add in ["cuGraphAddMemAllocNode", "cuGraphAddNode", "cuGraphAddNode_v2"]:
                    with self.subTest(f"{make} {go} {add}"):
                        self.run_body(f"""
start()
def make(g):
    e = ctypes.c_ulonglong(); r = byref(e)
    check("{make}", *({args.replace("e,", "r,", 1)},))
    return e.value
g = get("cuGraphCreate", 0)
node, ptr = add_alloc(g, LIMIT, add="{add}")
small = make(g)
g = get("cuGraphCreate", 0)
one, _ = add_alloc(g, 160 * MIB, add="{add}")
add_alloc(g, 160 * MIB, [one], add="{add}")
large = make(g)
assert call("{go}", large, 0) == OOM
assert free_bytes() == LIMIT and graph_reserved() == 0, "a refusal leaves nothing"
check("{go}", small, 0)
assert free_bytes() == 0
""")

    def test_a_flag_that_uploads_at_once_is_no_way_around(self):
        self.run_body("""
start()
graph, _ = graph_of(LIMIT, MIB)
params = (ctypes.c_ulonglong * 8)(2)
assert attempt("cuGraphInstantiateWithParams", graph, params)[0] == OOM
assert free_bytes() == LIMIT and graph_reserved() == 0
graph, _ = graph_of(LIMIT)
check("cuGraphInstantiateWithParams", byref(ctypes.c_ulonglong()), graph, params)
assert free_bytes() == 0
""")

    def test_what_a_graph_frees_itself_is_needed_once(self):
        self.run_body("""
start()
graph = get("cuGraphCreate", 0)
last = []
for _ in range(5):
    node, ptr = add_alloc(graph, 128 * MIB, last)
    last = [add_free(graph, ptr, [node])]
check("cuGraphLaunch", instantiate(graph), 0)
assert free_bytes() == LIMIT - 128 * MIB
""")

    def test_graphs_share_what_they_do_not_use_at_once(self):
        self.run_body("""
start()
for _ in range(4):
    graph, _ = graph_of(200 * MIB, free=True)
    check("cuGraphLaunch", instantiate(graph), 0)
assert free_bytes() == LIMIT - graph_reserved() == LIMIT - 224 * MIB
""")

    def test_captured_allocations_take_nothing_until_the_graph_runs(self):
        for alloc in ["cuMemAllocAsync", "cuMemAllocAsync_ptsz"]:
            self.run_body(f"""
start()
stream = get("cuStreamCreate", 1)
full = alloc(LIMIT)
got = []
def body():
    got.append(alloc(40 * MIB, "{alloc}", stream))
    got.append(alloc(2 * LIMIT, "cuMemAllocFromPoolAsync", default_pool(), stream))
    check("cuMemFreeAsync", got[1], stream)
graph = capture(stream, body)
exec = instantiate(graph)
assert call("cuGraphLaunch", exec, stream) == OOM
check("cuMemFree_v2", full)
assert call("cuGraphLaunch", exec, stream) == OOM, "it needs twice the limit"
assert free_bytes() == LIMIT
graph = capture(stream, lambda: got.append(alloc(40 * MIB, "{alloc}", stream)))
check("cuGraphLaunch", instantiate(graph), stream)
check("cuStreamSynchronize", stream)
assert free_bytes() == LIMIT - 64 * MIB
check("cuMemFree_v2", got[-1])
check("cuDeviceGraphMemTrim", 0)
assert free_bytes() == LIMIT
""")

    def test_a_refusal_elsewhere_does_not_spoil_a_capture(self):
        self.run_body("""
import threading
context = start()
check("cuMemAllocAsync", byref(ctypes.c_ulonglong()), MIB, 0)
stream = get("cuStreamCreate", 1)
def other():
    check("cuCtxSetCurrent", context)
    assert attempt("cuMemAllocAsync", 250 * MIB, 0)[0] == OOM
def body():
    alloc(MIB, "cuMemAllocAsync", stream)
    thread = threading.Thread(target=other); thread.start(); thread.join()
assert capture(stream, body) != 0
""")

    def test_unused_graph_memory_makes_room_for_other_kinds(self):
        self.run_body("""
start()
graph, _ = graph_of(LIMIT, free=True)
exec = instantiate(graph)
check("cuGraphLaunch", exec, 0)
assert free_bytes() == 0
ptr = alloc(LIMIT)
assert graph_reserved() == 0
assert call("cuGraphLaunch", exec, 0) == OOM, "it must be taken again"
check("cuMemFree_v2", ptr)
check("cuGraphLaunch", exec, 0)
assert free_bytes() == 0
""")

    def test_another_gpus_graph_is_charged_there(self):
        self.run_body("""
start(1); start(0)
graph, _ = graph_of(96 * MIB, 64 * MIB, device=1)
assert call("cuGraphLaunch", instantiate(graph), 0) == OOM
graph, _ = graph_of(96 * MIB, device=1)
check("cuGraphLaunch", instantiate(graph), 0)
assert free_bytes() == LIMIT
use(1)
assert free_bytes() == LIMIT // 2 - 96 * MIB
""")

    def test_a_graph_that_frees_what_it_holds_runs_again_and_again(self):
        self.run_body("""
start()
other = get("cuStreamCreate", 1)
graph, _ = graph_of(LIMIT)
exec = instantiate(graph, 1)
for stream in [0, 0, other, 0, other]:
    check("cuGraphLaunch", exec, stream)
    check("cuStreamSynchronize", stream)
assert free_bytes() == 0
""")

    def test_nonsense_is_answered_as_the_driver_does(self):
        body = """
start()
graph, _ = graph_of(MIB)
empty = get("cuGraphCreate", 0)
e = ctypes.c_ulonglong()
exec = instantiate(graph)
print([call("cuGraphInstantiateWithFlags", None, empty, 0), call("cuGraphInstantiateWithFlags", byref(e), 0, 0),
       call("cuGraphInstantiateWithParams", byref(e), empty, None), call("cuGraphInstantiateWithFlags", byref(e), graph, 0),
       call("cuGraphLaunch", 0, 0), call("cuGraphLaunch", exec, 4711), call("cuGraphUpload", 0, 0),
       call("cuGraphExecDestroy", 0), call("cuGraphExecDestroy", exec), call("cuGraphExecDestroy", exec),
       call("cuGraphLaunch", exec, 0), call("cuDeviceGraphMemTrim", 99)])
"""
        self.assertEqual(self.run_body(body), self.run_body(body, preload=False))

    def test_the_name_that_the_runtime_asks_for_leads_to_the_right_function(self):
        self.run_body("""
start()
f, status = ctypes.c_void_p(), ctypes.c_int()
check("cuGetProcAddress_v2", b"cuGraphInstantiate", byref(f), 12000, 0, byref(status))
signature = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_ulonglong)
e = ctypes.c_void_p()
graph, _ = graph_of(LIMIT, MIB)
assert signature(f.value)(ctypes.addressof(e), graph, 0) == OK
assert call("cuGraphLaunch", e.value, 0) == OOM
""")


if __name__ == "__main__":
    in_child.main()
