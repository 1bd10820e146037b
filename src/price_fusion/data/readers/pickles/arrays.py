"""Stand-ins for what pickled numpy arrays call, each of which checks its arguments.

numpy's own reconstruction trusts the pickle: a crafted array state reads memory that is not its own.
"""

from __future__ import annotations

import math
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any, Never

import numpy as np
from numpy.typing import NDArray

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,6}|O8")
"""Plain numbers, text and objects. No structured types: their states are what numpy checks least."""


class Callee:
    """A function that a pickle can call but neither change nor subclass."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self._function(*args)

    def __setstate__(self, state: object) -> Never:
        # Without this, the BUILD opcode could swap _function or a function's defaults for the rest of the process.
        raise pickle.UnpicklingError("it tries to change a function")


class PickledDtype:
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
        if not isinstance(value, PickledDtype):
            raise pickle.UnpicklingError(f"it gives a {type(value).__name__} where a numpy dtype belongs")
        return value._dtype


class PickledArray(np.ndarray[Any, Any]):
    """An array that checks the state a pickle gives it before numpy takes it for granted."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if self.size:
            # A tensor may already be a view of this memory, which a second state would free.
            raise pickle.UnpicklingError("it fills an array twice")
        _, shape, pickled_dtype, fortran_order, data = state
        dtype = PickledDtype.resolve(pickled_dtype)
        shape = checked_shape(shape)
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


def new_array(kind: object, shape: object, typecode: object) -> PickledArray:
    """Stands in for numpy's ``_reconstruct``: an empty array whose content comes with its state."""
    return PickledArray((0,), dtype=np.int8)


def ndarray(*_: object) -> Never:
    """Stands in for ``numpy.ndarray``, which pickles of arrays name and never call."""
    raise pickle.UnpicklingError("it calls numpy.ndarray, which pickled arrays only name")


def array_from_buffer(
    data: object, pickled_dtype: object, shape: object, order: object, axes: object = None
) -> NDArray[Any]:
    """Stands in for numpy's ``_frombuffer`` (protocol 5): an array over bytes that the pickle holds."""
    dtype = PickledDtype.resolve(pickled_dtype)
    if not isinstance(data, bytes | bytearray) or order not in ("C", "F", "K"):
        raise pickle.UnpicklingError(f"it holds an array made of a {type(data).__name__} in order {order!r:.40}")
    flat = _over_bytes(data, dtype).view(PickledArray)
    if order == "K" and isinstance(axes, tuple):
        return flat.reshape(checked_shape(shape)).transpose(checked_shape(axes))
    return flat.reshape(checked_shape(shape), order="F" if order == "F" else "C")


def scalar(pickled_dtype: object, data: object) -> Any:
    """Stands in for numpy's ``scalar``."""
    dtype = PickledDtype.resolve(pickled_dtype)
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError(f"it holds a scalar of {dtype} with other data than that needs")
    return _over_bytes(data, dtype)[0]


def checked_shape(shape: object) -> tuple[int, ...]:
    """A tuple of lengths that are whole and not negative.

    Raises:
        pickle.UnpicklingError: if it is anything else.
    """
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise pickle.UnpicklingError(f"it holds a shape that is none: {shape!r:.40}")
    return shape


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
