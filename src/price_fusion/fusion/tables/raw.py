"""Embeddings as some file holds them: one id a row, one matrix, nothing aligned or converted yet.

Shape letters: ``N`` rows, ``D`` width of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.errors import AlignmentError, DataError

_INT64 = np.iinfo(np.int64)
_SHOWN = 5
"""How many offenders a message spells out; the rest are counted."""


@dataclass(frozen=True)
class RawEmbeddings:
    """Ids and vectors of one file or folder.

    Attributes:
        ids: product ids, unique, int64 (N,).
        vectors: float16, float32 or float64 (N, D), N > 0 and D > 0; possibly memory-mapped, read-only or in a foreign
            byte order, and not checked for NaN.
        origin: the file or folder that they came from, for messages.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.floating[Any]]
    origin: str

    @classmethod
    def from_arrays(cls, ids: object, vectors: object, origin: str) -> RawEmbeddings:
        """Check what a reader found and bring the ids to int64. The matrix is never copied.

        Args:
            ids: N whole numbers: an integer array, or a list of ints, of 0-d arrays or of 0-d tensors.
            vectors: float matrix (N, D).
            origin: the file or folder that they came from, for messages.

        Raises:
            DataError: if the matrix is not a 2-d float array with rows, if an id is not a whole number within int64, or
                if there are not as many ids as rows.
            AlignmentError: if an id occurs twice.
        """
        matrix = _checked_vectors(vectors, origin)
        numbers = _checked_ids(ids, origin)
        if len(numbers) != len(matrix):
            raise DataError(
                f"{origin}: found {len(numbers)} ids for {len(matrix)} rows of vectors, expected one id a row. "
                "Store the ids and the vectors of the same products together."
            )
        _refuse_duplicates(numbers, origin)
        return cls(ids=numbers, vectors=matrix, origin=origin)


def _checked_vectors(vectors: object, origin: str) -> NDArray[np.floating[Any]]:
    expected = "expected a 2-d array (rows, width) of float16, float32 or float64"
    if not isinstance(vectors, np.ndarray):
        raise DataError(f"{origin}: vectors are a {_type_name(vectors)}, {expected}. Store them as one such array.")
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise DataError(
            f"{origin}: vectors have shape {vectors.shape}, {expected} with at least one row and one column. "
            "Store one row a product."
        )
    if vectors.dtype.type not in (np.float16, np.float32, np.float64):
        raise DataError(f"{origin}: vectors are of dtype {vectors.dtype}, {expected}. Convert them with .astype.")
    # Any other subclass of ndarray brings behaviour of its own; np.memmap only says where the memory is.
    return vectors if isinstance(vectors, np.memmap) else np.asarray(vectors)


def _checked_ids(ids: object, origin: str) -> NDArray[np.int64]:
    """Ids as int64 (N,), whichever way they were stored."""
    if isinstance(ids, list | tuple):
        return _ids_from_items(ids, origin)
    if not hasattr(ids, "__array__"):
        raise DataError(
            f"{origin}: ids are a {_type_name(ids)}, expected a 1-d integer array or a list of ints. Store them as one."
        )
    array = np.asarray(ids)
    if array.ndim != 1:
        raise DataError(f"{origin}: ids have shape {array.shape}, expected 1-d, one id a row. Store them flattened.")
    if array.dtype.kind == "O":
        return _ids_from_items(array.tolist(), origin)
    if array.dtype.kind not in "iu":
        raise _not_whole_numbers(f"of dtype {array.dtype}{_starting_with(array)}", origin)
    return _within_int64(array, origin)


def _ids_from_items(items: Sequence[Any], origin: str) -> NDArray[np.int64]:
    """Ids from a list of ints, numpy integers, 0-d arrays or 0-d tensors."""
    values = [item.item() if getattr(item, "ndim", None) == 0 else item for item in items]
    wrong = [row for row, value in enumerate(values) if type(value) is not int]
    if wrong:
        shown = ", ".join(
            f"{_shortened(values[row])} ({_type_name(items[row])}) in row {row}" for row in wrong[:_SHOWN]
        )
        raise _not_whole_numbers(f"{shown}{_further(len(wrong))}", origin)
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        return _within_int64(np.array(values, dtype=object), origin)


def _within_int64(array: NDArray[Any], origin: str) -> NDArray[np.int64]:
    rows = np.flatnonzero((array > _INT64.max) | (array < _INT64.min))
    if len(rows):
        shown = ", ".join(f"{_shortened(array[row])} in row {row}" for row in rows[:_SHOWN])
        raise DataError(
            f"{origin}: ids beyond 64 bits: {shown}{_further(len(rows))}; expected {_INT64.min} to {_INT64.max}. "
            "Number the products with smaller ids."
        )
    return array.astype(np.int64, copy=False)


def _refuse_duplicates(ids: NDArray[np.int64], origin: str) -> None:
    ordered = np.sort(ids)
    repeats = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if len(repeats):
        shown = "; ".join(
            f"{value} in rows {', '.join(map(str, np.flatnonzero(ids == value)[:_SHOWN]))}"
            for value in repeats[:_SHOWN]
        )
        raise AlignmentError(
            f"{origin}: {len(repeats)} ids occur more than once: {shown}{_further(len(repeats))}; "
            "expected each id once. Keep one row for each product."
        )


def _not_whole_numbers(found: str, origin: str) -> DataError:
    return DataError(
        f"{origin}: ids are not whole numbers: {found}; expected integers within 64 bits. "
        "Store the integer sample_id of each row; ids that are text are not supported yet."
    )


def _starting_with(array: NDArray[Any]) -> str:
    # Text is left out: a damaged unicode array cannot even be printed.
    return "" if array.dtype.kind == "U" else f", starting with {array[:_SHOWN].tolist()}"


def _further(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""


def _shortened(value: object) -> str:
    # int -> str is refused by Python beyond 4300 digits, and a message needs none of them.
    text = (
        f"an integer of {value.bit_length()} bits"
        if isinstance(value, int) and value.bit_length() > 200
        else repr(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
