"""Arrays of Arrow as matrices of floats, whichever of its types holds them: lists, lists of lists, bytes, halves.

Shape letters: ``B`` rows of a batch, ``D`` width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import DataError
from price_fusion.lazy import pa


def holds_vectors(kind: pa.DataType) -> bool:
    """Whether a column of this type has a list of floats in each row, or lists of them."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds_vectors(kind.storage_type)
    return is_list(kind) and (is_float(kind.value_type) or holds_vectors(kind.value_type)) and not pa.types.is_map(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether rows are lists, of whichever of Arrow's kinds."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_float(kind: pa.DataType) -> bool:
    """Whether numbers are floats; float16 is also written as two bytes."""
    return bool(pa.types.is_floating(kind) or (pa.types.is_fixed_size_binary(kind) and kind.byte_width == 2))


def floats_of(values: pa.Array) -> NDArray[Any]:
    """An array of floats, (B,); NaN where there is none."""
    if pa.types.is_fixed_size_binary(values.type) and values.type.byte_width == 2:
        size = len(values) * 2
        data = values.buffers()[1]
        numbers = np.frombuffer(data, "<f2", len(values), values.offset * 2) if size else np.empty(0, np.float16)
        if values.null_count:
            numbers = np.where(values.is_null().to_numpy(zero_copy_only=False), np.float16(np.nan), numbers)
        return numbers
    return np.asarray(values.to_numpy(zero_copy_only=False))


def matrix_of(
    column: pa.Array, where: str, binary: np.dtype[Any], start: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A column of lists or bytes as a matrix (B, D) and the rows without a vector; without a copy where all have one.

    Args:
        column: (B,).
        where: for messages.
        binary: type of the numbers in bytes.
        start: number of its first row in the file.
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    empty = column.is_null().to_numpy(zero_copy_only=False)
    whole = column.filter(column.is_valid()) if column.null_count else column
    numbers_of = np.flatnonzero(~empty) + start
    if is_list(column.type):
        flat, lengths = _list_values(whole, where)
    elif (
        pa.types.is_binary(column.type)
        or pa.types.is_large_binary(column.type)
        or pa.types.is_fixed_size_binary(column.type)
    ):
        flat, lengths = _binary_values(whole, where, binary.newbyteorder("<"), numbers_of)
    else:
        raise DataError(
            f"{where}: found the type {column.type}, expected lists of floats, or bytes. Store one vector a row."
        )
    if not len(whole):
        return np.full((len(column), 1), np.nan, np.float32), np.flatnonzero(empty)
    _refuse_ragged(lengths, numbers_of, where)
    matrix = flat.reshape(len(whole), -1)
    if not column.null_count:
        return matrix, np.empty(0, np.int64)
    filled = np.full((len(column), matrix.shape[1]), np.nan, matrix.dtype)
    filled[~empty] = matrix
    return filled, np.flatnonzero(empty)


def _list_values(column: pa.Array, where: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The numbers of all lists, one after the other, and how many each has; lists of lists are a vector each."""
    import pyarrow.compute as pc

    lengths = np.asarray(pc.list_value_length(column).to_numpy(zero_copy_only=False))
    values = column.flatten()
    if is_list(values.type):
        inner, widths = _list_values(values, where)
        ends = np.cumsum(lengths)
        totals = np.concatenate([[0], np.cumsum(widths)])
        return inner, totals[ends] - totals[ends - lengths]
    if not is_float(values.type):
        raise DataError(
            f"{where}: found lists of {values.type}, expected lists of floats. Store the vectors as floats."
        )
    if values.null_count:
        raise DataError(
            f"{where}: found {values.null_count} empty values inside the lists, expected numbers only. "
            "Leave those products out of the file."
        )
    return floats_of(values), lengths


def _binary_values(
    column: pa.Array, where: str, dtype: np.dtype[Any], numbers: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The numbers in all byte strings, one after the other, and how many bytes each has."""
    # One layout for all kinds of bytes: 64-bit offsets into one buffer.
    uniform = column.cast(pa.large_binary())
    _, offsets_buffer, data = uniform.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[uniform.offset : uniform.offset + len(uniform) + 1]
    lengths = np.diff(offsets)
    uneven = np.flatnonzero(lengths % dtype.itemsize)
    if len(uneven):
        raise DataError(
            f"{where}: found {lengths[uneven[0]]} bytes in row {numbers[uneven[0]]}, expected a multiple of "
            f"{dtype.itemsize} ({dtype.name}). Set the dtype that the bytes were written with, or write the file again."
        )
    count = int(offsets[-1] - offsets[0]) // dtype.itemsize if len(uniform) else 0
    return np.frombuffer(data or b"", dtype, count, int(offsets[0]) if len(uniform) else 0), lengths


def _refuse_ragged(lengths: NDArray[Any], numbers: NDArray[np.int64], where: str) -> None:
    rows = np.flatnonzero(lengths != lengths[0])
    if len(rows) or lengths[0] == 0:
        found = (
            f"{lengths[rows[0]]} in row {numbers[rows[0]]} and {len(rows) - 1} more like it"
            if len(rows)
            else "0 in each row"
        )
        raise DataError(
            f"{where}: rows differ in length or are empty: found {lengths[0]} in row {numbers[0]}, {found}; expected one width. "
            "Write the vectors of one encoder only."
        )
