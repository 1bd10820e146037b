"""Pickles that others made, read without running what they ask for.

A pickle is a program: it names any importable function and calls it. ``safe_load`` knows a short list of names, those
that numpy arrays, torch tensors and plain containers are made of. Behind each name stands a function of this module
that checks its arguments, because numpy's and torch's own reconstruction trusts them: a crafted array state or a tensor
larger than its storage reads memory that is not its own.

Whatever the pickle holds, arrays and tensors come back as numpy arrays (of a subclass of ``numpy.ndarray``; bfloat16
widened to float32), and a ``defaultdict`` as a ``dict``.

This is not a sandbox: a few bytes still make Python's own unpickling machine claim gigabytes (LONG_BINPUT), and only
the limits of a process of its own can stop that.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Never

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import DataError, UnsafePickleError

_DAMAGE = (
    pickle.UnpicklingError,  # an opcode or argument that makes no sense, and our own checks
    EOFError,  # truncated between two opcodes
    ValueError,  # literals, sizes and text that cannot be decoded (UnicodeDecodeError)
    LookupError,  # memo entries, stack items and text encodings that do not exist
    AttributeError,  # a state for an object that takes none
    TypeError,  # wrong number or type of arguments; unhashable keys
    ImportError,  # extension codes of modules that are not there
    ArithmeticError,  # sizes beyond what a C integer holds (OverflowError)
    MemoryError,  # a garbled length
    RuntimeError,  # torch, for a storage that is too short; RecursionError
    AssertionError,  # torch, for a storage header of the wrong form
    struct.error,  # torch, for a storage header that ends early
    UserWarning,  # torch, for an unusual protocol, where warnings are errors
)
"""What garbled bytes raise on their way through pickle, numpy and torch, collected by mutating pickles."""

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,6}|O8")
"""Plain numbers, text and objects. No structured types: their states are what numpy checks least."""


def safe_load(file: BinaryIO, origin: str) -> object:
    """Read one pickle that may name nothing but arrays, tensors and plain containers.

    Args:
        file: open for reading, at the pickle's first byte.
        origin: the file's name, for messages.

    Returns:
        What was pickled, with arrays and tensors as numpy arrays.

    Raises:
        UnsafePickleError: if the pickle names anything else.
        DataError: if the pickle is truncated or garbled.
    """
    try:
        return _AllowListUnpickler(file, origin).load()
    except _DAMAGE as error:
        raise DataError(
            f"{origin}: found a pickle that breaks off or is damaged ({type(error).__name__}: {_first_line(error)}), "
            "expected a complete one of arrays, tensors and plain containers. Copy or write the file again."
        ) from error


class _AllowListUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, origin: str) -> None:
        super().__init__(file)
        self._origin = origin

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        # The pair is looked up as it stands: a dotted name ("ndarray.__reduce__") is a key that no entry has.
        key = (module_name, global_name)
        if key == ("torch.storage", "_load_from_bytes"):
            return _Callable(lambda data: _load_storage(data, self._origin))
        if key in _TORCH_DTYPES:
            return f"torch.{global_name}"
        if key not in _ALLOWED:
            raise _unsafe(f"{module_name}.{global_name}", self._origin)
        return _ALLOWED[key]

    def persistent_load(self, pid: Any) -> Never:
        raise pickle.UnpicklingError("it refers to objects outside the file (a persistent id)")


class _Callable:
    """A function that a pickle can call but neither change nor subclass."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: object) -> Never:
        # Without this, the BUILD opcode could swap _function or a function's defaults for the rest of the process.
        raise pickle.UnpicklingError("it tries to change a function")


class _PickledDtype:
    """Stands for a numpy dtype until it is used, because ``numpy.dtype.__setstate__`` accepts inconsistent states."""

    __slots__ = ("_dtype",)

    def __init__(self, spec: object, align: object = False, copy: object = True) -> None:
        if not isinstance(spec, str) or not _DTYPE.fullmatch(spec):
            raise pickle.UnpicklingError(f"it holds an array of the unsupported dtype {spec!r:.40}")
        self._dtype = np.dtype(spec)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        byte_order = state[1]
        if byte_order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"it holds the byte order {byte_order!r:.40}")
        self._dtype = self._dtype.newbyteorder(byte_order)

    @staticmethod
    def resolve(value: object) -> np.dtype[Any]:
        """The dtype that ``value`` stands for."""
        if not isinstance(value, _PickledDtype):
            raise pickle.UnpicklingError(f"it gives a {type(value).__name__} where a numpy dtype belongs")
        return value._dtype


class _PickledArray(np.ndarray[Any, Any]):
    """An array that checks the state a pickle gives it before numpy takes it for granted."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, pickled_dtype, fortran_order, data = state
        dtype = _PickledDtype.resolve(pickled_dtype)
        shape = _checked_shape(shape)
        fits = (
            (isinstance(data, list) and len(data) == math.prod(shape))
            if dtype.hasobject
            else (isinstance(data, bytes) and len(data) == math.prod(shape) * dtype.itemsize)
        )
        if not fits:
            raise pickle.UnpicklingError(
                f"it holds an array of shape {shape} and {dtype} with other data than that needs"
            )
        if isinstance(data, bytes):
            _over_bytes(data, dtype)
        # numpy takes Python's bool only; its stub says otherwise.
        super().__setstate__((1, shape, dtype, bool(fortran_order), data))  # type: ignore[arg-type]


def _new_array(kind: object, shape: object, typecode: object) -> _PickledArray:
    """Stands in for numpy's ``_reconstruct``: an empty array whose content comes with its state."""
    return _PickledArray((0,), dtype=np.int8)


def _ndarray(*_: object) -> Never:
    raise pickle.UnpicklingError("it calls numpy.ndarray, which pickled arrays only name")


def _array_from_buffer(
    data: object, pickled_dtype: object, shape: object, order: object, axes: object = None
) -> NDArray[Any]:
    """Stands in for numpy's ``_frombuffer`` (protocol 5): an array over bytes that the pickle holds."""
    dtype = _PickledDtype.resolve(pickled_dtype)
    if not isinstance(data, bytes | bytearray) or order not in ("C", "F", "K"):
        raise pickle.UnpicklingError(f"it holds an array made of a {type(data).__name__} in order {order!r:.40}")
    flat = _over_bytes(data, dtype).view(_PickledArray)
    if order == "K" and isinstance(axes, tuple):
        return flat.reshape(_checked_shape(shape)).transpose(_checked_shape(axes))
    return flat.reshape(_checked_shape(shape), order="F" if order == "F" else "C")


def _scalar(pickled_dtype: object, data: object) -> Any:
    dtype = _PickledDtype.resolve(pickled_dtype)
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError(f"it holds a scalar of {dtype} with other data than that needs")
    return _over_bytes(data, dtype)[0]


def _over_bytes(data: bytes | bytearray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A flat array over ``data``, without a copy, whose text, if it is text, can be read."""
    if not data:
        return np.empty(0, dtype=dtype)
    flat = np.frombuffer(data, dtype=dtype)
    # numpy stores text as code points and crashes on those beyond Unicode when it is printed.
    if (
        dtype.kind == "U"
        and np.frombuffer(data, np.dtype(np.uint32).newbyteorder(dtype.byteorder)).max() > sys.maxunicode
    ):
        raise pickle.UnpicklingError("it holds text beyond Unicode")
    return flat


def _load_storage(data: object, origin: str) -> NDArray[Any]:
    """The elements of a torch storage, flat; bfloat16 as float32.

    Raises:
        UnsafePickleError: if the pickle inside the storage is more than torch's own allow-list lets pass.
    """
    import torch

    if not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"it holds a torch storage made of a {type(data).__name__}")
    try:
        storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        inside = (
            f"{named[1]} (inside a torch storage)" if named else "torch.storage._load_from_bytes (with other content)"
        )
        raise _unsafe(inside, origin) from error
    if not isinstance(storage, torch.storage.TypedStorage):
        raise _unsafe(f"torch.storage._load_from_bytes (holding a {type(storage).__name__})", origin)
    flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return (flat.float() if flat.dtype == torch.bfloat16 else flat).numpy().view(_PickledArray)


def _rebuild_tensor(
    storage: object, offset: int, size: object, stride: object, requires_grad: object = False, *_: object
) -> NDArray[Any]:
    """Stands in for torch's ``_rebuild_tensor_v2``, which enlarges a storage that is too small with stray memory."""
    if not isinstance(storage, _PickledArray) or storage.ndim != 1:
        raise pickle.UnpicklingError("it holds a tensor without a storage")
    shape, steps = _checked_shape(size), _checked_shape(stride)
    elements = math.prod(shape)
    last = offset + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
    # "elements" also refuses rows repeated by a stride of 0, which make terabytes out of a few bytes.
    if type(offset) is not int or offset < 0 or (elements and last >= storage.size) or elements > storage.size:
        raise pickle.UnpicklingError(f"it holds a tensor of shape {shape} in a storage of {storage.size} elements")
    if not elements:
        return storage[:0].reshape(shape)
    strides = tuple(step * storage.itemsize for step in steps)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides, subok=True)


def _checked_shape(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise pickle.UnpicklingError(f"it holds a shape that is none: {shape!r:.40}")
    return shape


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


def _in_each(modules: Iterable[str], **functions: Callable[..., Any]) -> dict[tuple[str, str], _Callable]:
    return {(module, name): _Callable(function) for module in modules for name, function in functions.items()}


_ALLOWED = {
    **_in_each(["numpy"], ndarray=_ndarray, dtype=_PickledDtype),
    # numpy 1 wrote numpy.core, numpy 2 writes numpy._core.
    **_in_each(["numpy.core.multiarray", "numpy._core.multiarray"], _reconstruct=_new_array, scalar=_scalar),
    **_in_each(["numpy.core.numeric", "numpy._core.numeric"], _frombuffer=_array_from_buffer),
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
    **_in_each(["torch._utils"], _rebuild_tensor_v2=_rebuild_tensor),
    **_in_each(["torch"], Size=tuple),
}

_TORCH_DTYPES = {
    ("torch", name)
    for name in ("float16", "bfloat16", "float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64")
}
"""Stored beside embeddings as plain facts about them, so their names will do."""


def _unsafe(name: str, origin: str) -> UnsafePickleError:
    return UnsafePickleError(
        f"{origin}: the pickle asks for {name!a:.200}, which was refused: expected only numpy arrays, torch tensors "
        "and plain containers. Have its author save the embeddings as .npy files or as a dict of plain numpy arrays."
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no details"])[0][:200]
