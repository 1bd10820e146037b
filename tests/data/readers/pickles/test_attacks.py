"""Pickles made to do harm: each is refused by name, within the limits, and leaves no trace."""

import io
import os
import pickle
import re
import struct

import numpy as np
import pytest

from price_fusion.data.readers.pickles.process import read_pickle
from price_fusion.data.readers.pickles.unpickler import safe_load
from price_fusion.data.readers.rows import Asked
from price_fusion.errors import DataError, UnsafePickleError

MARKER = "MARKER"
"""A file that nothing may make."""


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module, attribute):
    return text(module) + text(attribute) + b"\x93"


def call(module, attribute, *arguments):
    """A pickle that calls something, as protocol 4 has it."""
    return b"\x80\x04" + name(module, attribute) + b"(" + b"".join(arguments) + b"tR."


TOUCH = text("touch " + MARKER)
BY_NAME = {
    "posix.system": call("posix", "system", TOUCH),
    "os.system": b"cos\nsystem\n(" + TOUCH + b"tR.",
    "os.mkdir": b"(" + text(MARKER) + b"ios\nmkdir\n.",
    "subprocess.Popen": call("subprocess", "Popen", TOUCH, b"NNNNNN", b"\x89\x88"),
    "subprocess.check_output": call("subprocess", "check_output", TOUCH),
    "builtins.eval": call("builtins", "eval", text(f"open({MARKER!r}, 'w')")),
    "builtins.exec": call("builtins", "exec", text(f"open({MARKER!r}, 'w')")),
    "builtins.getattr": call("builtins", "getattr", text("a"), text("upper")),
    "builtins.open": call("builtins", "open", text(MARKER), text("w")),
    "__builtin__.apply": call("__builtin__", "apply", b"N"),
    "builtins.ndarray.__class__": call("builtins", "ndarray.__class__"),
    "numpy.ndarray.__class__": call("numpy", "ndarray.__class__"),
    "numpy.memmap": call("numpy", "memmap", text(MARKER), text("u1"), text("w+"), b"K\x00", b"K\x08"),
    "numpy.fromfile": call("numpy", "fromfile", text("/etc/hostname")),
    "numpy.load": call("numpy", "load", text(MARKER), b"N\x88"),
    "numpy.f2py.crackfortran.myeval": call("numpy.f2py.crackfortran", "myeval", TOUCH),
    "copyreg._reconstructor": call("copyreg", "_reconstructor", name("numpy", "ndarray"), b"NN"),
    "copyreg.add_extension": call("copyreg", "add_extension", text("os"), text("system"), b"K\x01"),
    "pathlib.PosixPath": call("pathlib", "PosixPath", text(MARKER)),
    "pathlib.Path.touch": call("pathlib", "Path.touch", text(MARKER)),
    "importlib.import_module": call("importlib", "import_module", text("os")),
    "pandas.eval": call("pandas", "eval", text("@__import__('os')")),
    "pandas.core.computation.eval.eval": call("pandas.core.computation.eval", "eval", text("1")),
    "pandas.read_pickle": call("pandas", "read_pickle", text(MARKER)),
    "pandas.DataFrame.query": call("pandas", "DataFrame.query", text("1")),
    "multiprocessing.shared_memory.SharedMemory": call("multiprocessing.shared_memory", "SharedMemory", b"N\x88K\x08"),
    "_io.FileIO": call("_io", "FileIO", text(MARKER), text("w")),
    "socket.create_connection": call("socket", "create_connection", text("localhost"), b"K\x01"),
    "ctypes.CDLL": call("ctypes", "CDLL", b"N"),
    "torch.load": call("torch", "load", text(MARKER)),
    "pyarrow.lib.memory_map": call("pyarrow.lib", "memory_map", text(MARKER), text("w")),
    "functools.partial": call("functools", "partial", name("posix", "system"), TOUCH),
}


def storage(header, elements=b""):
    """A torch storage, on the stack, whose fourth pickle is ``header``."""
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    payload = magic + header + pickle.dumps([], 2) + elements
    return name("torch.storage", "_load_from_bytes") + b"(B" + struct.pack("<I", len(payload)) + payload + b"tR"


def frame(blocks, axes):
    manager = name("pandas.core.internals.managers", "BlockManager") + b"(" + blocks + axes + b"tR"
    return b"\x80\x04" + name("pandas", "DataFrame") + b")\x81}" + text("_mgr") + manager + b"sb."


def row_index(stop):
    state = b"}" + text("start") + b"K\x00s" + text("stop") + stop + b"s" + text("step") + b"K\x01s"
    return name("pandas.core.indexes.base", "_new_Index") + name("pandas", "RangeIndex") + state + b"\x86R"


ONE_FLOAT = b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x01NtQ."
HUGE = b"\x8a\x08" + struct.pack("<q", 2**60)
F4 = name("numpy", "dtype") + text("f4") + b"\x85R"
OTHERWISE = {
    "persistent id": (b"\x80\x04" + TOUCH + b"Q.", "persistent id"),
    "extension code": (b"\x80\x02\x82\x01.", "unregistered extension"),
    "bytearray of a huge size": (call("builtins", "bytearray", HUGE), "bytearray of something"),
    "bytes that claim a terabyte": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40), "GiB of memory|truncated"),
    "text that claims a terabyte": (b"\x80\x04\x8d" + struct.pack("<Q", 2**40), "GiB of memory|truncated"),
    "memo of 2**31 entries": (b"\x80\x02]r\xff\xff\xff\x7f.", "GiB of memory"),
    "tuples doubled and hashed": (b"\x80\x04}" + b")" + b"2\x86" * 60 + b"Ns.", "processor time"),
    "lists doubled and flattened": (
        b"\x80\x04" + name("builtins", "bytearray") + b"]" + b"2\x86" * 40 + b"\x85R.",
        "bytearray of something",
    ),
    "tuples nested until the stack ends": (b"\x80\x04}" + b")" + b"\x85" * 500_000 + b"Ns.", "SIGSEGV|processor time"),
    "a frame of 2**60 rows": (frame(b")", b"]" + row_index(HUGE) + b"a" + row_index(HUGE) + b"a"), "damaged.*columns than names"),
    "an array larger than its bytes": (
        call("numpy._core.numeric", "_frombuffer", b"C\x04abcd", F4, b"(" + HUGE * 2 + b"t", text("C")),
        "damaged",
    ),
    "rows repeated by a stride of 0": (
        b"\x80\x04" + name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage(ONE_FLOAT, struct.pack("<qf", 1, 0.0))
        + b"K\x00(" + HUGE + b"K\x01t(K\x00K\x01ttR.",
        "tensor of shape .* in a storage of 1 elements",
    ),
    "a storage larger than its bytes": (
        b"\x80\x04" + storage(ONE_FLOAT, struct.pack("<q", 1)) + b".",
        "torch storage of 1 elements with other data",
    ),
}  # fmt: skip


def read(tmp_path, data, **limits):
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_pickle(path, Asked(**limits))
    assert str(caught.value).startswith(str(path))
    return caught.value


@pytest.mark.parametrize("named", BY_NAME)
def test_calls_are_refused_by_name(named, tmp_path, monkeypatch):
    """In this process: the list of names does not need the child to hold."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafePickleError, match=f"'{named}'"):
        safe_load(io.BytesIO(BY_NAME[named]), "a.pkl")
    assert not list(tmp_path.iterdir())


def test_refusals_cross_from_the_child(tmp_path):
    marker = str(tmp_path / "marker")
    data = call("posix", "system", text(f"touch {marker}"))
    assert "'posix.system'" in str(read(tmp_path, data))
    assert not os.path.lexists(marker)


@pytest.mark.parametrize("what", OTHERWISE)
def test_bombs_and_broken_promises_end_within_the_limits(what, tmp_path):
    data, found = OTHERWISE[what]
    error = read(tmp_path, data, memory_gb=0.75, seconds=1)
    assert re.search(found, str(error)), str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]


@pytest.mark.parametrize("global_name", ["posix\nsystem", "torch\nload", "torch._utils\n_rebuild_tensor_v2"])
def test_code_inside_a_torch_storage_is_refused(global_name):
    header = b"\x80\x02c" + global_name.encode() + b"\n(" + TOUCH + b"tR."
    with pytest.raises(UnsafePickleError, match=rf"'{global_name.replace(chr(10), '.')} \(inside a torch storage\)'"):
        safe_load(io.BytesIO(b"\x80\x04" + storage(header) + b"."), "a.pkl")


@pytest.mark.parametrize("kind", ["pandas.DataFrame", "pandas.arrays.ArrowStringArray"])
def test_classes_that_pickles_make_cannot_be_changed(kind):
    module, _, attribute = kind.rpartition(".")
    data = b"\x80\x04" + name(module, attribute) + b"N}" + text("labels") + b"Ns\x86b."
    with pytest.raises(DataError, match="damaged"):
        safe_load(io.BytesIO(data), "a.pkl")
    array = pickle.dumps({"a": np.zeros(2)})
    assert safe_load(io.BytesIO(array), "a.pkl")["a"].tolist() == [0, 0]
