"""Stand-ins for what pickled pandas DataFrames call. pandas is not needed, and none of its code sees the file.

A pickled frame is a list of blocks, each an array (columns of the block, rows) and the places of these columns in the
frame, and two indexes: of columns and of rows. pandas 1.5 to 3 write the same with other names. Text of pandas 3 is an
array of pyarrow: offsets and UTF-8, both as bytes.

Shape letters: ``N`` rows, ``K`` columns of a block.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.pickles.arrays import PickledArray

_RANGE, _PLAIN, _TEXT = "RangeIndex", "Index", "StringArray"


class PickledText:
    """Text of pandas 3, decoded when it is asked for."""

    __slots__ = ("_chunks",)

    def __setstate__(self, state: Mapping[str, Any] | tuple[Any, ...]) -> None:
        # Without pyarrow a tuple: a dtype, and an array of Python's own text.
        content = state[1] if isinstance(state, tuple) else state.get("_pa_array", state.get("_data"))
        chunks = content if isinstance(content, list) else [content]
        if not all(isinstance(chunk, PickledArrowText | PickledArray) for chunk in chunks):
            raise pickle.UnpicklingError("it holds a column of text without content")
        self._chunks = chunks

    def values(self) -> NDArray[Any]:
        """The texts, object (N,); None or NaN where there is none."""
        texts = [
            text
            for chunk in self._chunks
            for text in (chunk.texts() if isinstance(chunk, PickledArrowText) else chunk.ravel().tolist())
        ]
        array = np.empty(len(texts), dtype=object)
        array[:] = texts
        return array


class PickledFrame:
    """The columns of a DataFrame and its row labels."""

    __slots__ = ("_blocks", "_columns", "_rows")

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        manager = state["_mgr"]
        if not isinstance(manager, PickledManager):
            raise pickle.UnpicklingError("it holds a data frame without its columns")
        self._columns, self._rows = manager.columns, manager.rows
        self._blocks = {label: spot for block in manager.blocks for label, spot in self._spots(block)}
        if len(self._blocks) != _distinct(self._columns.values):
            raise pickle.UnpicklingError("it holds a data frame with more or fewer columns than names")

    def _spots(self, block: PickledBlock) -> list[tuple[Any, tuple[PickledBlock, int]]]:
        labels = self._columns.values
        if block.rows != len(self._rows.values):
            raise pickle.UnpicklingError(
                f"it holds a data frame of {len(self._rows.values)} rows with columns of {block.rows}"
            )
        if block.places and not 0 <= min(block.places) <= max(block.places) < len(labels):
            raise pickle.UnpicklingError("it holds a data frame with a column outside of it")
        return [(labels[place], (block, row)) for row, place in enumerate(block.places)]

    @property
    def labels(self) -> list[Any]:
        """Names of the columns, in their order."""
        return list(self._columns.values)

    @property
    def row_name(self) -> object:
        """Name of the index of rows."""
        return self._rows.name

    def row_labels(self) -> NDArray[Any]:
        """The index of rows, (N,)."""
        return np.asarray(self._rows.values)

    def column(self, label: object) -> NDArray[Any]:
        """One column, (N,)."""
        block, row = self._blocks[label]
        return block.column(row)

    def matrix(self, labels: Sequence[Any]) -> NDArray[Any]:
        """Columns of numbers side by side (N, len(labels)); without a copy where they are one block in their order."""
        spots = [self._blocks[label] for label in labels]
        block = spots[0][0]
        if spots == [(block, row) for row in range(len(block.places))]:
            return block.values.T
        return np.stack([self.column(label) for label in labels], axis=1)


class PickledBlock:
    """Stands in for pandas' ``_unpickle_block``: values (K, N) and the places of the K columns."""

    __slots__ = ("places", "rows", "values")
    values: NDArray[Any]

    def __init__(self, values: object, placement: object, dimensions: object = 2) -> None:
        self.places = _checked_places(placement)
        if isinstance(values, PickledText):
            values = values.values().reshape(1, -1)
        if not isinstance(values, np.ndarray) or values.ndim != 2 or len(values) != len(self.places):
            raise pickle.UnpicklingError("it holds a data frame with a column that is neither numbers nor text")
        self.values = np.asarray(values)
        self.rows = values.shape[1]

    def column(self, row: int) -> NDArray[Any]:
        """One of them, (N,)."""
        return np.asarray(self.values[row])


class PickledIndex:
    """Stands in for pandas' ``_new_Index``: labels, or, where nobody gave any, a range."""

    __slots__ = ("name", "values")

    def __init__(self, kind: object, state: Mapping[str, Any]) -> None:
        self.name = state.get("name")
        if kind == _RANGE:
            bounds = (state["start"], state["stop"], state["step"])
            if not all(type(bound) is int for bound in bounds):
                raise pickle.UnpicklingError("it holds an index of rows without bounds")
            self.values: range | list[Any] = range(*bounds)
        else:
            data = state["data"]
            values = data.values() if isinstance(data, PickledText) else data
            if kind != _PLAIN or not isinstance(values, np.ndarray) or values.ndim != 1:
                raise pickle.UnpicklingError("it holds an index that is neither numbers nor text")
            self.values = values.tolist()


class PickledManager:
    """Stands in for pandas' ``BlockManager``."""

    __slots__ = ("blocks", "columns", "rows")

    def __init__(self, blocks: Sequence[PickledBlock], axes: Sequence[PickledIndex]) -> None:
        if not all(isinstance(block, PickledBlock) for block in blocks):
            raise pickle.UnpicklingError("it holds a data frame without blocks")
        if len(axes) != 2 or not all(isinstance(axis, PickledIndex) for axis in axes):
            raise pickle.UnpicklingError("it holds a data frame without its two indexes")
        self.blocks, (self.columns, self.rows) = blocks, axes


class PickledArrowText:
    """Stands in for pyarrow's ``_restore_array``, for text only: validity, offsets and UTF-8."""

    __slots__ = ("_offsets", "_text", "_valid")

    def __init__(self, description: tuple[Any, ...]) -> None:
        kind, length, _, offset, (valid, offsets, text), *_rest = description
        width = {"string": 4, "large_string": 8}.get(kind) if isinstance(kind, str) else None
        if width is None or type(length) is not int or type(offset) is not int or length < 0 or offset < 0:
            raise pickle.UnpicklingError("it holds a column of pyarrow that is not text")
        first, last = offset * width, (offset + length + 1) * width
        if not isinstance(offsets, bytes) or len(offsets) < last or not isinstance(text, bytes | None):
            raise pickle.UnpicklingError("it holds a column of text with other data than that needs")
        self._offsets = np.frombuffer(offsets[first:last], f"<i{width}").tolist()
        self._text = text or b""
        self._valid = _bits(valid, offset, length)

    def texts(self) -> list[str | None]:
        """(N,); None where there is none."""
        if not all(a <= b for a, b in zip([0, *self._offsets], [*self._offsets, len(self._text)], strict=True)):
            raise pickle.UnpicklingError("it holds a column of text with other data than that needs")
        pairs = zip(self._offsets, self._offsets[1:], self._valid, strict=False)
        return [self._text[start:stop].decode() if valid else None for start, stop, valid in pairs]


def new_text(kind: object, checksum: object, state: object) -> PickledText:
    """Stands in for pandas' ``__pyx_unpickle_NDArrayBacked``, for text only."""
    if kind != _TEXT or state is not None:
        raise pickle.UnpicklingError("it holds a column of pandas that is not text")
    return PickledText()


def string_dtype(*_: object) -> None:
    """Stands in for pandas' ``StringDtype``: text says what it is by itself."""


def arrow_type(alias: object) -> object:
    """Stands in for pyarrow's ``type_for_alias``: its name will do."""
    return alias


def arrow_buffer(data: object) -> bytes:
    """Stands in for pyarrow's ``py_buffer``."""
    if not isinstance(data, bytes | bytearray):
        raise pickle.UnpicklingError(f"it holds a buffer made of a {type(data).__name__}")
    return bytes(data)


def arrow_chunks(chunks: list[PickledArrowText], kind: object = None) -> list[PickledArrowText]:
    """Stands in for pyarrow's ``chunked_array``."""
    return list(chunks)


KINDS = {
    ("pandas.core.indexes.range", "RangeIndex"): _RANGE,
    ("pandas", "RangeIndex"): _RANGE,
    ("pandas.core.indexes.base", "Index"): _PLAIN,
    ("pandas", "Index"): _PLAIN,
    **{("pandas.core.indexes.numeric", f"{kind}Index"): _PLAIN for kind in ("Int64", "UInt64", "Float64")},
    ("pandas.arrays", "StringArray"): _TEXT,
    ("pandas.core.arrays.string_", "StringArray"): _TEXT,
    ("pandas", "NA"): None,
    ("pandas._libs.missing", "NA"): None,
}
"""What pickles only name: classes that they hand to ``_new_Index`` and ``__pyx_unpickle_NDArrayBacked``, and pandas' NA."""


def _checked_places(placement: object) -> Sequence[int]:
    if isinstance(placement, slice):
        bounds = (placement.start, placement.stop, placement.step)
        if all(type(bound) is int for bound in bounds):
            return range(*bounds)
    if isinstance(placement, PickledArray) and placement.ndim == 1 and placement.dtype.kind == "i":
        return [int(place) for place in placement.tolist()]
    raise pickle.UnpicklingError("it holds a data frame with columns at no place")


def _bits(valid: object, offset: int, length: int) -> list[bool]:
    """Which of ``length`` values are there, from a bit map; all, where there is none."""
    if valid is None:
        return [True] * length
    if not isinstance(valid, bytes) or len(valid) * 8 < offset + length:
        raise pickle.UnpicklingError("it holds a column of text with other data than that needs")
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    return [bool(bit) for bit in bits[offset : offset + length].tolist()]


def _distinct(values: range | list[Any]) -> int:
    """How many different values there are; a range may be longer than memory."""
    return len(values) if isinstance(values, range) else len(set(values))
