"""The driver as a Python program sees it: cuda.call("cuMemAlloc_v2", ...) gives the result code. For tests that run in
a process of their own, bare or under libtessera.so."""
import ctypes
from ctypes import POINTER, byref, c_int, c_size_t, c_uint, c_ulonglong, c_void_p

MIB = 1 << 20
OK, INVALID_VALUE, OOM, INVALID_CONTEXT, NOT_SUPPORTED = 0, 1, 2, 201, 801
DESTROYED = 709

driver = ctypes.CDLL("libcuda.so.1")


class Location(ctypes.Structure):
    _fields_ = [("type", c_int), ("id", c_int)]


class PoolProps(ctypes.Structure):
    _fields_ = [("alloc_type", c_int), ("handle_types", c_int), ("location", Location), ("security", c_void_p),
                ("max_size", c_size_t), ("usage", ctypes.c_ushort), ("reserved", ctypes.c_ubyte * 54)]


class AllocationProp(ctypes.Structure):
    _fields_ = [("type", c_int), ("handle_types", c_int), ("location", Location), ("win32", c_void_p),
                ("flags", ctypes.c_ubyte * 8)]


def call(name, *args):
    """Integers are passed as 64 bits wide, which fits pointers, sizes and handles."""
    values = [c_ulonglong(arg) if isinstance(arg, int) else arg for arg in args]
    return getattr(driver, name)(*values)


def check(name, *args):
    result = call(name, *args)
    assert result == OK, f"{name} gave {result}"


def get(name, *args, kind=c_ulonglong):
    """The first argument is where the answer goes."""
    value = kind()
    check(name, byref(value), *args)
    return value.value


def start(device=0):
    """A primary context, current; its handle."""
    check("cuInit", 0)
    return use(device)


def use(device):
    context = get("cuDevicePrimaryCtxRetain", device)
    check("cuCtxSetCurrent", context)
    return context


def info():
    free, total = c_size_t(), c_size_t()
    check("cuMemGetInfo_v2", byref(free), byref(total))
    return free.value, total.value


def free_bytes():
    return info()[0]


def attempt(name, *args):
    """(result, new pointer or handle)"""
    value = c_ulonglong()
    return call(name, byref(value), *args), value.value


def alloc(size, name="cuMemAlloc_v2", *args):
    return get(name, size, *args)


def fill(size, name="cuMemAlloc_v2", *args):
    """What was held when the driver refused: pointers."""
    held = []
    while True:
        result, ptr = attempt(name, size, *args)
        if result != OK:
            assert result == OOM, f"{name} gave {result}"
            return held
        held.append(ptr)


def make_pool(device=0, location=1):
    props = PoolProps(alloc_type=1, location=Location(location, device))
    return get("cuMemPoolCreate", byref(props))


def managed_pool(location=0):
    """The driver's own; of the location's kind 0 it prefers none."""
    return get("cuMemGetDefaultMemPool", byref(Location(location, 0)), 2)


def default_pool(device=0):
    return get("cuDeviceGetDefaultMemPool", device)


def pool_attribute(pool, attribute):
    value = c_ulonglong()
    check("cuMemPoolGetAttribute", pool, attribute, byref(value))
    return value.value


def keep(pool, size):
    """Sets the release threshold."""
    check("cuMemPoolSetAttribute", pool, 4, byref(c_ulonglong(size)))


def reserved(pool):
    return pool_attribute(pool, 5)


class AllocNode(ctypes.Structure):
    _fields_ = [("pool", PoolProps), ("access", c_void_p), ("access_count", c_size_t), ("size", c_size_t),
                ("ptr", c_ulonglong)]


class NodeParams(ctypes.Structure):
    class Kind(ctypes.Union):
        _fields_ = [("alloc", AllocNode), ("free", c_ulonglong), ("padding", ctypes.c_longlong * 29)]
    _fields_ = [("type", c_int), ("reserved", c_int * 3), ("of", Kind), ("reserved2", ctypes.c_longlong)]


def add_alloc(graph, size, after=(), device=0, add="cuGraphAddMemAllocNode"):
    """(node, pointer)"""
    before = (c_ulonglong * len(after))(*after)
    alloc = AllocNode(pool=PoolProps(alloc_type=1, location=Location(1, device)), size=size)
    if add == "cuGraphAddMemAllocNode":
        return get(add, graph, before, len(after), byref(alloc)), alloc.ptr
    params = NodeParams(type=10, of=NodeParams.Kind(alloc=alloc))
    edges = [None] if add.endswith("_v2") else []
    return get(add, graph, before, *edges, len(after), byref(params)), params.of.alloc.ptr


def add_free(graph, ptr, after=()):
    return get("cuGraphAddMemFreeNode", graph, (c_ulonglong * len(after))(*after), len(after), ptr)


def graph_of(*sizes, free=False, device=0):
    """(graph, pointers): allocations one after the other, freed at the end or not at all"""
    graph, nodes, ptrs = get("cuGraphCreate", 0), [], []
    for size in sizes:
        node, ptr = add_alloc(graph, size, nodes[-1:], device)
        nodes.append(node)
        ptrs.append(ptr)
    for ptr in ptrs if free else []:
        nodes.append(add_free(graph, ptr, nodes[-1:]))
    return graph, ptrs


def instantiate(graph, flags=0):
    return get("cuGraphInstantiateWithFlags", graph, flags)


def graph_reserved(device=0):
    value = c_ulonglong()
    check("cuDeviceGetGraphMemAttribute", device, 2, byref(value))
    return value.value


def capture(stream, body, mode=0):
    """The graph of what `body` puts into the stream."""
    check("cuStreamBeginCapture_v2", stream, mode)
    body()
    return get_last("cuStreamEndCapture", stream)


def get_last(name, *args):
    """The last argument is where the answer goes."""
    value = c_ulonglong()
    check(name, *args, byref(value))
    return value.value


class MulticastProp(ctypes.Structure):
    _fields_ = [("devices", c_uint), ("size", c_size_t), ("handle_types", c_ulonglong), ("flags", c_ulonglong)]


def make_team(size, *devices):
    """A multicast object that these devices have joined."""
    team = get("cuMulticastCreate", byref(MulticastProp(len(devices), size)))
    for device in devices:
        check("cuMulticastAddDevice", team, device)
    return team


def create(size, device=0, handle_types=0):
    prop = AllocationProp(type=1, handle_types=handle_types, location=Location(1, device))
    return get("cuMemCreate", size, byref(prop), 0)


def mapped(handle, size):
    place = get("cuMemAddressReserve", size, 0, 0, 0)
    check("cuMemMap", place, size, 0, handle, 0)
    return place


class IpcHandle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_char * 64)]


def ipc_handle(ptr):
    handle = IpcHandle()
    check("cuIpcGetMemHandle", byref(handle), ptr)
    return bytes(handle)


def ipc_open(handle, name="cuIpcOpenMemHandle_v2"):
    """(result, pointer)"""
    ptr = c_ulonglong()
    return getattr(driver, name)(byref(ptr), IpcHandle.from_buffer_copy(handle), c_uint(1)), ptr.value


class DevResource(ctypes.Structure):
    _fields_ = [("type", c_int), ("padding", ctypes.c_ubyte * 92), ("sms", c_uint), ("rest", ctypes.c_ubyte * 44)]


def sm_desc(sms, device=0):
    """For cuGreenCtxCreate: so many multiprocessors."""
    all_of_it, part, count = DevResource(), DevResource(), c_uint(1)
    check("cuDeviceGetDevResource", device, byref(all_of_it), 1)
    check("cuDevSmResourceSplitByCount", byref(part), byref(count), byref(all_of_it), None, 0, sms)
    return get("cuDevResourceGenerateDesc", byref(part), 1)


def green(sms=8, device=0):
    """(handle, the context that shows it)"""
    handle = get("cuGreenCtxCreate", sm_desc(sms, device), device, 1)
    return handle, get("cuCtxFromGreenCtx", handle)


PTX = b""".version 6.0
.target sm_52
.address_size 64
.visible .entry noop()
{
  ret;
}
.visible .entry spin(.param .u64 ns)
{
  ret;
}
"""
