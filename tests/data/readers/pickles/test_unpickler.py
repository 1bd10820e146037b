"""The allow-listed unpickler: what loads, what is refused by name, and what damage does."""

import contextlib
import functools
import importlib
import io
import operator
import os
import pickle
import random
import struct
import subprocess
import sys
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from price_fusion.data.readers.pickles import arrays
from price_fusion.data.readers.pickles.unpickler import safe_load
from price_fusion.errors import DataError, UnsafePickleError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(data, origin="a.pkl"):
    return safe_load(io.BytesIO(data), origin)


# --- what loads ---


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_reference_layout(protocol):
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    content = {"embeddings": vectors, "sample_ids": [3, 1, 2], "data_type": "train", "embedding_dim": 4}
    loaded = load(pickle.dumps(content, protocol))
    assert np.array_equal(loaded.pop("embeddings"), content.pop("embeddings"))
    assert loaded == content


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
        np.arange(9).reshape(3, 3)[::2, ::2],
        np.arange(3, dtype=">f4"),
        np.zeros((0, 5), np.float32),
        np.array(7),
        np.array([True, False]),
        np.array(["a", "béta"]),
        np.array([b"a", b"bc"]),
        np.array([1, "a", None, [2]], dtype=object),
        np.array([1 + 2j]),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_numpy_arrays(array, protocol):
    loaded = load(pickle.dumps(array, protocol))
    assert loaded.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert loaded.shape == array.shape
    assert np.asarray(loaded).tolist() == array.tolist()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["<f2", ">f4", "<f8", "<i8", "u1"]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
    ),
    st.sampled_from(PROTOCOLS),
)
def test_any_numeric_array_comes_back(array, protocol):
    loaded = load(pickle.dumps(array, protocol))
    # numpy brings foreign byte orders to the machine's own when it unpickles.
    assert loaded.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert loaded.shape == array.shape
    assert np.array_equal(loaded, array, equal_nan=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_containers(protocol):
    content = [
        *(np.float16(2.5), np.int64(-3), np.bool_(True), np.str_("x"), 2**80, 1.5, None, "text", b"\xff\x00"),
        *({1, 2}, frozenset({3}), 1 + 2j, bytearray(b"ab"), (1, (2,)), OrderedDict(a=1)),
    ]
    assert load(pickle.dumps(content, protocol)) == content
    assert load(pickle.dumps(defaultdict(list, {"a": [1]}), protocol)) == {"a": [1]}
    assert load(pickle.dumps(slice(1, 2), protocol)) == slice(1, 2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_written_by_numpy_1(protocol):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = pickle.dumps({"a": array, "s": np.int64(5)}, protocol)
    # The lengths of the names change with them, in the protocols that store lengths.
    for module in ("multiarray", "numeric"):
        new, old = f"numpy._core.{module}".encode(), f"numpy.core.{module}".encode()
        data = data.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old).replace(new, old)
    if protocol >= 4:
        # Names grew shorter inside one frame.
        data = data[:2] + b"\x95" + struct.pack("<Q", len(data) - 11) + data[11:]
    loaded = load(data)
    assert np.array_equal(loaded["a"], array)
    assert loaded["s"] == 5


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_torch_tensors(protocol):
    torch = pytest.importorskip("torch")
    matrix = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    content = {
        "whole": matrix,
        "view": matrix[1:, ::2].T,
        "narrow": matrix.to(torch.bfloat16),
        "learned": matrix.clone().requires_grad_(),
        "empty": torch.zeros(0, 4),
        "ids": [torch.tensor(i) for i in (3, 1, 2)],
        "size": matrix.shape,
        "dtype": torch.float16,
    }
    loaded = load(pickle.dumps(content, protocol))
    assert [array.item() for array in loaded["ids"]] == [3, 1, 2]
    assert loaded["size"] == (3, 4)
    assert loaded["dtype"] == "torch.float16"
    for name in ("whole", "view", "narrow", "learned", "empty"):
        assert loaded[name].dtype == np.float32
        assert np.asarray(loaded[name]).tolist() == content[name].tolist()


def test_large_arrays_are_not_copied():
    loaded = load(pickle.dumps(np.zeros((100, 100), np.float32)))
    assert not loaded.flags.owndata


# --- what is refused by name ---


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def named(module, name, protocol=4):
    """A pickle that only names a global."""
    if protocol < 4:
        return f"c{module}\n{name}\n.".encode()
    parts = [b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)]
    return b"\x80\x04" + b"".join(parts) + b"\x93."


ATTACKS = {
    f"{os.name}.system": pickle.dumps(Call(os.system, "true")),
    "os.system": b"cos\nsystem\n(S'true'\ntR.",
    "builtins.eval": pickle.dumps(Call(eval, "1")),
    "builtins.exec": pickle.dumps(Call(exec, "1")),
    "__builtin__.eval": pickle.dumps(Call(eval, "1"), 2),
    "builtins.getattr": pickle.dumps(Call(getattr, "a", "upper")),
    "builtins.__import__": pickle.dumps(Call(__import__, "os")),
    "builtins.open": named("builtins", "open"),
    "builtins.map": named("builtins", "map"),
    "subprocess.Popen": pickle.dumps(Call(subprocess.Popen, ["true"])),
    "numpy.load": pickle.dumps(Call(np.load, "a.npy")),
    "numpy.save": named("numpy", "save"),
    "numpy.ndarray.__reduce__": named("numpy", "ndarray.__reduce__"),
    "numpy.core.multiarray": named("numpy", "core.multiarray"),
    "numpy.dtype.__class__.mro": named("numpy", "dtype.__class__.mro"),
    "builtins.list.__class__": named("builtins", "list.__class__"),
    "collections.OrderedDict.__init__.__globals__": named("collections", "OrderedDict.__init__.__globals__"),
    "functools.partial": pickle.dumps(functools.partial(os.system, "true")),
    "operator.attrgetter": pickle.dumps(operator.attrgetter("system")),
    "_operator.methodcaller": named("_operator", "methodcaller"),
    "importlib.import_module": pickle.dumps(Call(importlib.import_module, "os")),
    "runpy.run_path": named("runpy", "run_path"),
    "codecs.decode": named("codecs", "decode"),
    "copyreg._reconstructor": named("copyreg", "_reconstructor"),
    "pickle.loads": named("pickle", "loads"),
    "_pickle.loads": pickle.dumps(Call(pickle.loads, b"")),
    "torch.load": named("torch", "load"),
    "torch.storage._load_from_bytes.__globals__": named("torch.storage", "_load_from_bytes.__globals__"),
    "torch._utils._rebuild_tensor": named("torch._utils", "_rebuild_tensor"),
    "torch.hub.load": named("torch.hub", "load"),
    "sys.modules": named("sys", "modules"),
    "price_fusion.data.readers.pickles.arrays.Callee": named(arrays.__name__, "Callee"),
    "pandas.eval": named("pandas", "eval"),
    "pandas.core.frame.DataFrame.eval": named("pandas.core.frame", "DataFrame.eval"),
    "pyarrow.lib.memory_map": named("pyarrow.lib", "memory_map"),
    "ctypes.CDLL": b"(S'libc.so.6'\nictypes\nCDLL\n.",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_by_name(name):
    with pytest.raises(UnsafePickleError) as caught:
        load(ATTACKS[name])
    message = str(caught.value)
    assert message.startswith(f"a.pkl: the pickle asks for '{name}', which was refused")
    assert ".npy" in message


def test_other_pandas_objects_are_refused():
    for content in (pd.Series([1.0]), pd.Timestamp(0), pd.DataFrame({"a": pd.Categorical(["b"])})):
        with pytest.raises(UnsafePickleError, match=r"'pandas\."):
            load(pickle.dumps({"embeddings": content}))


def test_chain_of_calls_is_refused_before_any_runs(tmp_path):
    witness = tmp_path / "witness"
    chain = [Call(list, (1, 2)), OrderedDict(a=Call(os.mkdir, str(witness)))]
    with pytest.raises(UnsafePickleError, match=r"mkdir"):
        load(pickle.dumps(chain))
    assert not witness.exists()


@pytest.mark.parametrize("protocol", [0, 2])
def test_call_inside_a_torch_storage_is_refused(tmp_path, protocol):
    torch = pytest.importorskip("torch")
    witness = tmp_path / "witness"
    saved = io.BytesIO()
    torch.save(Call(os.mkdir, str(witness)), saved, _use_new_zipfile_serialization=False)
    bare = pickle.dumps(Call(os.system, "true"), 2)
    for payload, name in [(saved.getvalue(), "mkdir"), (bare, "torch storage")]:
        with pytest.raises(UnsafePickleError, match=name):
            load(pickle.dumps(Call(torch.storage._load_from_bytes, payload), protocol))
    assert not witness.exists()


def test_other_things_inside_a_torch_storage_are_refused():
    torch = pytest.importorskip("torch")
    saved = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, saved)
    with pytest.raises(DataError, match=r"torch\.storage\._load_from_bytes|damaged"):
        load(pickle.dumps(Call(torch.storage._load_from_bytes, saved.getvalue())))


def test_unprintable_names_are_escaped():
    with pytest.raises(UnsafePickleError, match=r"\\x1b\[2J"):
        load(named("os", "\x1b[2J", protocol=0))


# --- allowed names with arguments that numpy or torch would take at their word ---


def changed_array(**changes):
    """An array whose pickled state is not what numpy writes."""
    state = {"shape": (2,), "dtype": np.dtype("<f4"), "data": b"\0" * 8, **changes}

    class Array:
        def __reduce__(self):
            function, args, _ = np.zeros(2).__reduce__()
            return function, args, (1, state["shape"], state["dtype"], False, state["data"])

    return pickle.dumps(Array())


def on_global(module, name, state):
    """A BUILD on an allowed function itself, which must not stay changed for the next pickle."""
    return named(module, name)[:-1] + pickle.dumps(state, 0)[:-1] + b"b."


@pytest.mark.parametrize(
    "data",
    [
        changed_array(shape=(10**6,)),
        changed_array(shape=(2**62, 4)),
        changed_array(shape=(-2,)),
        changed_array(shape="ab"),
        changed_array(data=["a"] * 2),
        changed_array(data=None),
        changed_array(dtype="<f4"),
        changed_array(dtype=np.dtype(object)),
        changed_array(dtype=np.dtype([("a", "<f4")])),
        changed_array(dtype=np.dtype("M8[s]")),
        changed_array(dtype=np.dtype("<U1"), data=b"\xff" * 8),
        pickle.dumps(Call(np.float32(1).__reduce__()[0], np.dtype("U1"), b"\xff" * 4)),
        pickle.dumps(Call(np.dtype, "O8,O8", False, True)),
        pickle.dumps(Call(np.dtype("f4").__reduce__()[0], "V8", False, True)),
        pickle.dumps(Call(np.float32(1).__reduce__()[0], np.dtype(object), b"\0" * 8)),
        pickle.dumps(Call(np.float32(1).__reduce__()[0], np.dtype("f8"), b"\0")),
        pickle.dumps(Call(np.zeros(2).__reduce_ex__(5)[0], 10**9, np.dtype("f4"), (2,), "C")),
        pickle.dumps(Call(np.zeros(2).__reduce_ex__(5)[0], b"\0" * 8, np.dtype(object), (1,), "C")),
        pickle.dumps(Call(np.ndarray, (10**13,))),
        pickle.dumps(Call(bytearray, 10**13)),
        pickle.dumps(Call(bytes, 10**13)),
        b"c_codecs\nencode\n(S'a'\nS'idna'\ntR.",
        on_global("builtins", "list", {"a": 1}),
        on_global("builtins", "list", (None, {"_function": 1})),
        on_global("numpy", "dtype", (None, {"resolve": 1})),
        on_global("collections", "OrderedDict", (None, {"__init__": 1})),
        b"\x80\x02cbuiltins\nlist\n)\x81.",
        b"Pexternal\n.",
        b"\x80\x04K\x01Q.",
        b"\x80\x05\x97.",
        b"\x82\x01.",
        b"",
        b"not a pickle",
    ],
)
def test_senseless_pickles_are_damage(data):
    with pytest.raises(DataError, match=r"a\.pkl: found a pickle that breaks off or is damaged"):
        load(data)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (5,), (1,)), (0, (2, 2), (4, 1)), (1, (4,), (1,)), (-1, (2,), (1,)), (0, (4,), (-1,)), (0, (10**9,), (0,))],
)
def test_tensors_stay_inside_their_storage(offset, size, stride):
    torch = pytest.importorskip("torch")
    call, args = torch.arange(4.0).__reduce_ex__(2)
    storage = args[0]
    with pytest.raises(DataError, match=r"tensor of shape|shape that is none"):
        load(pickle.dumps(Call(call, storage, offset, size, stride, False, OrderedDict())))


# --- damage ---


def small_pickles():
    content = {"embeddings": np.arange(6, dtype=np.float32).reshape(2, 3), "sample_ids": [1, np.int64(2)]}
    return {protocol: pickle.dumps(content, protocol) for protocol in PROTOCOLS}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_at_every_byte(protocol):
    whole = small_pickles()[protocol]
    for length in range(len(whole)):
        with pytest.raises(DataError, match=r"^a\.pkl: "):
            load(whole[:length])
    assert load(whole)["sample_ids"] == [1, 2]


def test_truncated_tensors():
    torch = pytest.importorskip("torch")
    whole = pickle.dumps({"embeddings": torch.arange(6.0)}, 4)
    for length in range(len(whole)):
        with pytest.raises(DataError, match=r"^a\.pkl: "):
            load(whole[:length])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mutations_load_or_are_refused(protocol):
    whole = small_pickles()[protocol]
    source = random.Random(protocol)  # noqa: S311 - nothing here is secret
    # Python's own machine answers LONG_BINPUT, "r", with up to 64 GiB of memory: only a process with limits may try
    # (tests/robustness/pickle_mutations.py).
    values = [value for value in range(256) if value != ord("r")]
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(source.randint(1, 3)):
            data[source.randrange(len(data))] = source.choice(values)
        with contextlib.suppress(DataError, MemoryError):
            load(bytes(data))


def test_reading_needs_neither_torch_nor_pandas():
    code = (
        "import pathlib, sys; from price_fusion.data.readers.pickles.unpickler import safe_load; "
        "[safe_load(path.open('rb'), 'a') for path in pathlib.Path(sys.argv[1]).glob('*.pkl')]; "
        "sys.exit(bool({'torch', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    folder = Path(__file__).parent / "files"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code, folder], check=False).returncode == 0


def test_an_array_is_filled_once():
    """A second state would free memory that a tensor of the first still looks at."""
    array = pickle.dumps(np.arange(4, dtype=">f4"), 2)[:-1]
    state = array[array.rindex(b"(K\x01") : -1]
    with pytest.raises(DataError, match=r"fills an array twice"):
        load(array + state + b"b.")
