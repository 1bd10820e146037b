"""Pickles that others made, read without running what they ask for.

A pickle is a program: it names any importable function and calls it. ``safe_load`` knows a short list of names, those
that numpy arrays, torch tensors, pandas frames and plain containers are made of. Behind each name stands a function of
ours that checks its arguments (``arrays``, ``tensors``, ``frames``); of numpy's, torch's and
pandas' own reconstruction none is called.

Whatever the pickle holds, arrays and tensors come back as numpy arrays (of a subclass of ``numpy.ndarray``; bfloat16
widened to float32), a frame as a ``PickledFrame`` and a ``defaultdict`` as a ``dict``.

This is not a sandbox: a few bytes still make Python's own unpickling machine claim gigabytes (LONG_BINPUT) or recurse
until it crashes. ``process`` therefore calls it in a process of its own, with limits.
"""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from price_fusion.data.readers.pickles.arrays import (
    Callee,
    PickledDtype,
    array_from_buffer,
    ndarray,
    new_array,
    scalar,
)
from price_fusion.data.readers.pickles.frames import (
    KINDS,
    PickledArrowText,
    PickledBlock,
    PickledFrame,
    PickledIndex,
    PickledManager,
    PickledText,
    arrow_buffer,
    arrow_chunks,
    arrow_type,
    new_text,
    string_dtype,
)
from price_fusion.data.readers.pickles.tensors import load_storage, rebuild_tensor, unsafe_pickle
from price_fusion.errors import DataError

_DAMAGE = (
    pickle.UnpicklingError,  # an opcode or argument that makes no sense, and our own checks
    EOFError,  # truncated between two opcodes
    ValueError,  # literals, sizes and text that cannot be decoded (UnicodeDecodeError)
    LookupError,  # memo entries, stack items and text encodings that do not exist
    AttributeError,  # a state for an object that takes none
    TypeError,  # wrong number or type of arguments; unhashable keys
    ImportError,  # extension codes of modules that are not there
    ArithmeticError,  # sizes beyond what a C integer holds (OverflowError)
    BufferError,  # a bytearray that grows while an array looks at it
    RecursionError,
    struct.error,
)
"""What garbled bytes raise on their way through pickle and numpy, collected by mutating pickles."""


_PEEKED = 64
"""Bytes that are read of what follows a pickle."""


def safe_load(file: BinaryIO, origin: str) -> object:
    """Read one pickle that may name nothing but arrays, tensors and plain containers.

    Args:
        file: open for reading, at the pickle's first byte.
        origin: the file's name, for messages.

    Returns:
        What was pickled, with arrays and tensors as numpy arrays.

    Raises:
        UnsafePickleError: if the pickle names anything else.
        DataError: if the pickle is truncated or garbled, or more follows it.
        MemoryError: if it asks for more memory than this process may have: a garbled length, or a file too large.
    """
    content = load_with(AllowListUnpickler(file, origin), origin)
    _refuse_rest(file, origin)
    return content


def _refuse_rest(file: BinaryIO, origin: str) -> None:
    """Refuse what follows a pickle: chunks that were appended to one file are a pickle each, and only the first is read."""
    end = file.tell()
    rest = file.read(_PEEKED)
    if not rest:
        return
    count = file.seek(0, os.SEEK_END) - end
    what, advice = "of no known kind", "Copy or write the file again."
    if rest[:1] == pickle.PROTO and len(rest) > 1 and rest[1] <= pickle.HIGHEST_PROTOCOL:
        what = "another pickle, as if chunks had been appended to one file"
        advice = (
            "Read all of them (pickle.load until EOFError), join them with numpy.concatenate, and write one pickle."
        )
    elif not rest.strip(b"\0"):
        what = "beginning with zeros"
    raise DataError(
        f"{origin}: found {count:,} more bytes after the pickle, which ends at byte {end:,} ({what}), expected one pickle and "
        f"nothing else. {advice}"
    )


def load_with(unpickler: AllowListUnpickler, origin: str) -> object:
    """What an unpickler finds, as of ``safe_load``, which says what is raised."""
    try:
        return unpickler.load()
    except _DAMAGE as error:
        raise DataError(
            f"{origin}: found a pickle that breaks off or is damaged ({type(error).__name__}: {_first_line(error)}), "
            "expected a complete one of arrays, tensors, frames and plain containers. Copy or write the file again."
        ) from error


class AllowListUnpickler(pickle.Unpickler):
    """Knows the names that arrays, tensors, frames and plain containers are made of.

    Args:
        file: open for reading, at the pickle's first byte.
        origin: the file's name, for messages.
    """

    def __init__(self, file: BinaryIO, origin: str) -> None:
        super().__init__(file)
        self._origin = origin

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What stands for a name, if it is on the list."""
        # The pair is looked up as it stands: a dotted name ("ndarray.__reduce__") is a key that no entry has.
        key = (module_name, global_name)
        if key == ("torch.storage", "_load_from_bytes"):
            return Callee(lambda data: load_storage(data, self._origin))
        if key in _TORCH_DTYPES:
            return f"torch.{global_name}"
        if key in KINDS:
            return KINDS[key]
        if key not in _ALLOWED:
            raise unsafe_pickle(f"{module_name}.{global_name}", self._origin)
        return _ALLOWED[key]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: a pickle alone has nothing beside it."""
        raise pickle.UnpicklingError("it refers to objects outside the file (a persistent id)")


def _encode(text: str, encoding: str) -> bytes:
    # Bytes in protocols 0 to 2. Other encodings would import modules and do arithmetic of the pickle's choice.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r:.40}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    # How protocols 0 to 2 write b"", the content of an array without rows.
    return b""


def _bytearray(data: bytes | str = b"", encoding: str = "latin-1") -> bytearray:
    if isinstance(data, str) and encoding == "latin-1":
        return bytearray(data.encode("latin-1"))
    if not isinstance(data, bytes):
        # bytearray(10**12) is a memory bomb.
        raise pickle.UnpicklingError("it makes a bytearray of something that is not bytes")
    return bytearray(data)


def _dict(*_: object) -> dict[Any, Any]:
    # A default factory is a call on each later look-up; nothing that reads embeddings wants one.
    return {}


def _ordered_dict(items: Iterable[Any] = ()) -> OrderedDict[Any, Any]:
    return OrderedDict(items)


def _in_each(modules: Iterable[str], **functions: Callable[..., Any]) -> dict[tuple[str, str], Any]:
    return {(module, name): Callee(function) for module in modules for name, function in functions.items()}


_ALLOWED: dict[tuple[str, str], Any] = {
    **_in_each(["numpy"], ndarray=ndarray, dtype=PickledDtype),
    # numpy 1 wrote numpy.core, numpy 2 writes numpy._core.
    **_in_each(["numpy.core.multiarray", "numpy._core.multiarray"], _reconstruct=new_array, scalar=scalar),
    **_in_each(["numpy.core.numeric", "numpy._core.numeric"], _frombuffer=array_from_buffer),
    **_in_each(["_codecs"], encode=_encode),
    **_in_each(["collections"], OrderedDict=_ordered_dict, defaultdict=_dict),
    # Protocols 0 to 2 write the builtins under their Python 2 name; protocol 4 and later have opcodes for most. list
    # is the usual factory of a defaultdict.
    **_in_each(
        ["builtins", "__builtin__"],
        list=list,
        slice=slice,
        bytes=_empty_bytes,
        bytearray=_bytearray,
        set=set,
        frozenset=frozenset,
        complex=complex,
    ),
    **_in_each(["torch._utils"], _rebuild_tensor_v2=rebuild_tensor),
    # pandas up to 2 wrote the modules that hold its classes, pandas 3 writes those that users import them from.
    ("pandas", "DataFrame"): PickledFrame,
    ("pandas.core.frame", "DataFrame"): PickledFrame,
    ("pandas.arrays", "ArrowStringArray"): PickledText,
    ("pandas.core.arrays.string_arrow", "ArrowStringArray"): PickledText,
    **_in_each(["pandas.core.internals.managers"], BlockManager=PickledManager),
    **_in_each(["pandas._libs.internals"], _unpickle_block=PickledBlock),
    **_in_each(["pandas._libs.arrays"], __pyx_unpickle_NDArrayBacked=new_text),
    **_in_each(["pandas.core.indexes.base"], _new_Index=PickledIndex),
    **_in_each(["pandas", "pandas.core.arrays.string_"], StringDtype=string_dtype),
    **_in_each(
        ["pyarrow.lib"],
        _restore_array=PickledArrowText,
        type_for_alias=arrow_type,
        py_buffer=arrow_buffer,
        chunked_array=arrow_chunks,
    ),
    **_in_each(["torch"], Size=tuple),
}

_TORCH_DTYPES = {
    ("torch", name)
    for name in ("float16", "bfloat16", "float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64")
}
"""Stored beside embeddings as plain facts about them, so their names will do."""


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no details"])[0][:200]
