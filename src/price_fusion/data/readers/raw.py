"""Embeddings as some file holds them: one id a row, one matrix, nothing aligned or converted yet.

Shape letters: ``N`` rows, ``D`` width of the embedding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import LONGEST, Ids, parse_ids, repeated_ids
from price_fusion.data.readers.row_rules import RowRules, averaged, chosen_rows
from price_fusion.data.readers.rows import Places
from price_fusion.errors import SHOWN, DataError, combined

T = TypeVar("T")
_AS_ARRAY = (
    "Store them as one such array: numpy.stack(list(vectors)).astype('float32') makes one of equally long vectors."
)

_INT64 = np.iinfo(np.int64)
_NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)
_STRICT = RowRules()
_OR_MEAN = ", or set 'several_rows: mean' in the catalog entry to average them"


@dataclass(frozen=True)
class RawEmbeddings:
    """Ids and vectors of one file or folder.

    Attributes:
        ids: product ids, unique, int64 or fixed-width unicode (N,); see ``ids.py``.
        vectors: float16, float32 or float64 (N, D), N > 0 and D > 0; possibly memory-mapped, read-only or in a foreign
            byte order, and not checked for NaN.
        origin: the file or folder that they came from, for messages.
        places: of the rows in the files that ``origin`` stands for; None: it is no folder, and its rows are these.
    """

    ids: Ids
    vectors: NDArray[np.floating[Any]]
    origin: str
    places: Places | None = None

    def place_of(self, row: int) -> str:
        """File and row that a row of the matrix came from, for messages."""
        return f"{self.origin}: row {row}" if self.places is None else self.places.of(row)

    @classmethod
    def from_arrays(
        cls,
        ids: object,
        vectors: object,
        origin: str,
        *,
        nulls: NDArray[np.int64] = _NONE,
        rules: RowRules = _STRICT,
        files: Sequence[str] = (),
        rows_by_file: Sequence[int] = (),
    ) -> RawEmbeddings:
        """Check what a reader found and bring the ids into one form. The matrix is copied only where rules change its rows.

        Args:
            ids: N whole numbers or texts: an array, or a list of ints, of 0-d arrays, of 0-d tensors, or of str.
            vectors: float matrix (N, D).
            origin: the file or folder that they came from, for messages.
            nulls: rows that hold no vector.
            rules: what is done with rows that are no embedding, and with several rows of one id.
            files: that ``origin`` stands for, where it is a folder.
            rows_by_file: how many rows are in each, if there are several.

        Raises:
            DataError: naming all that is wrong: a matrix that is not a 2-d float array with rows, ids that cannot be used or
                are not as many as the rows, rows without a vector.
            AlignmentError: if the only fault is that an id occurs twice.
        """
        found, matrix = checked_arrays(ids, vectors, origin)
        in_files = list(zip(files or [origin], rows_by_file or [len(matrix)], strict=True))
        kept = rules.kept(matrix, nulls, origin)
        numbers: Sequence[int] = range(len(found))
        if kept is not None:
            found, matrix, numbers = found[kept], chosen_rows(matrix, kept, origin), kept.tolist()
        rows = len(found)
        if rules.several_rows == "mean":
            found, matrix = averaged(found, matrix, origin)
            numbers = range(len(found))
        averages = len(found) < rows
        places = Places(
            [(f"{origin}, rows averaged by id", len(found))] if averages else in_files, None if averages else kept
        )
        if problems := repeated_ids(found, origin, numbers=numbers, advice=_OR_MEAN):
            raise combined(origin, problems)
        return cls(found, matrix, origin, places)


def checked_arrays(ids: object, vectors: object, origin: str) -> tuple[Ids, NDArray[np.floating[Any]]]:
    """Ids (N,) in one form and the matrix (N, D), as of ``RawEmbeddings.from_arrays``; ids that occur twice are for the caller.

    Raises:
        DataError: naming all that is wrong.
    """
    problems: list[DataError] = []
    matrix = _attempted(lambda: checked_matrix(vectors, origin), problems)
    parsed = _attempted(lambda: _parsed_ids(ids, origin), problems)
    if parsed is not None:
        problems += parsed[1]
        miscounted = matrix is not None and len(parsed[0]) != len(matrix)
        if problems or miscounted:
            problems += repeated_ids(parsed[0], origin, advice=_OR_MEAN)
        if matrix is not None and miscounted:
            problems.append(_miscounted(len(parsed[0]), len(matrix), origin))
    if problems or matrix is None or parsed is None:
        raise combined(origin, problems)
    return parsed[0], matrix


def checked_matrix(vectors: object, origin: str) -> NDArray[np.floating[Any]]:
    """Vectors that are a float matrix (N, D) with rows; never copied.

    Raises:
        DataError: if they are anything else.
    """
    expected = "expected a 2-d array (rows, width) of float16, float32 or float64"
    if not isinstance(vectors, np.ndarray):
        raise DataError(f"{origin}: vectors are {described(vectors)}, {expected}. {_AS_ARRAY}")
    if vectors.dtype == object:
        raise DataError(f"{origin}: vectors are {described(vectors)}, {expected}. {_AS_ARRAY}")
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise DataError(
            f"{origin}: vectors have shape {vectors.shape}, {expected} with at least one row and one column. "
            "Store one row a product."
        )
    if vectors.dtype.type not in (np.float16, np.float32, np.float64):
        bfloat16 = " (bfloat16 is stored so)" if vectors.dtype == np.dtype("V2") else ""
        raise DataError(
            f"{origin}: vectors are of dtype {vectors.dtype}{bfloat16}, {expected}. Convert them with .astype('float32') before "
            "they are saved."
        )
    # Any other subclass of ndarray brings behaviour of its own; np.memmap only says where the memory is.
    return vectors if isinstance(vectors, np.memmap) else np.asarray(vectors)


def _parsed_ids(ids: object, origin: str) -> tuple[Ids, list[DataError]]:
    """Ids (N,), whichever way they were stored, and what is wrong with them but for repeats."""
    if isinstance(ids, list | tuple):
        return _ids_from_items(ids, origin)
    if not hasattr(ids, "__array__"):
        raise DataError(
            f"{origin}: ids are a {_type_name(ids)}, expected a 1-d array or a list of whole numbers or of text. Store them "
            "as one."
        )
    array = np.asarray(ids)
    if array.ndim != 1:
        raise DataError(f"{origin}: ids have shape {array.shape}, expected 1-d, one id a row. Store them flattened.")
    if array.dtype.kind == "U":
        return parse_ids(_text_items(array, origin), origin, repeats=True)
    if array.dtype.kind in "OT":
        return _ids_from_items(array.tolist(), origin)
    if array.dtype.kind not in "iu":
        raise _no_ids(f"of dtype {array.dtype}{_starting_with(array)}", origin)
    if array.dtype.kind == "u" and len(array) and array.max() > _INT64.max:
        return parse_ids(list(map(str, array.tolist())), origin, repeats=True)
    return array.astype(np.int64, copy=False), []


def _text_items(array: NDArray[Any], origin: str) -> list[str]:
    """The items of a unicode array, once each is known to be text: damaged ones cannot even be printed."""
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    letters = plain.view(np.uint32).reshape(len(plain), -1) if plain.dtype.itemsize else np.empty((len(plain), 0))
    wrong = np.flatnonzero((letters > sys.maxunicode).any(axis=1))
    if len(wrong):
        raise DataError(
            f"{origin}: {len(wrong):,} id(s) are no text: row {', '.join(map(str, wrong[:SHOWN]))}{_further(len(wrong))} "
            "hold numbers beyond Unicode. The file is damaged: copy or write it again."
        )
    items: list[str] = plain.tolist()
    return items


def _ids_from_items(items: Sequence[Any], origin: str) -> tuple[Ids, list[DataError]]:
    """Ids from a list of ints, numpy integers, 0-d arrays or 0-d tensors, or of text."""
    values = [item.item() if getattr(item, "ndim", None) == 0 else item for item in items]
    kinds = {type(value) for value in values}
    if kinds <= {int}:
        return _ids_from_numbers(values, origin)
    if kinds <= {str}:
        return parse_ids(values, origin, repeats=True)
    usual = str if sum(type(value) is str for value in values) > len(values) / 2 else int
    wrong = [row for row, value in enumerate(values) if type(value) is not usual]
    shown = ", ".join(f"{_shortened(values[row])} ({_type_name(items[row])}) in row {row}" for row in wrong[:SHOWN])
    raise _no_ids(f"{shown}{_further(len(wrong))} among {usual.__name__}s", origin)


def _ids_from_numbers(values: list[int], origin: str) -> tuple[Ids, list[DataError]]:
    try:
        numbers = np.array(values, dtype=np.int64)
    except OverflowError:
        # Python refuses to write out numbers of thousands of digits.
        huge = [row for row, value in enumerate(values) if value.bit_length() > 3 * LONGEST]
        if huge:
            raise _no_ids(f"{_shortened(values[huge[0]])} in row {huge[0]}{_further(len(huge))}", origin) from None
        return parse_ids(list(map(str, values)), origin, repeats=True)
    return numbers, []


def _attempted(check: Callable[[], T], problems: list[DataError]) -> T | None:
    """What a check gives, or nothing, with its error among the problems."""
    try:
        return check()
    except DataError as error:
        problems.append(error)
        return None


def _miscounted(ids: int, rows: int, origin: str) -> DataError:
    return DataError(
        f"{origin}: found {ids} ids for {rows} rows of vectors, expected one id a row. "
        "Store the ids and the vectors of the same products together."
    )


def _no_ids(found: str, origin: str) -> DataError:
    return DataError(
        f"{origin}: ids are neither whole numbers nor text throughout: {found}; expected integers, or text of at most {LONGEST} "
        "characters, as in the product table. Store the id of each row as it is there: .astype('int64') fixes "
        "floats such as 123.0, and .astype(str) mixtures that have lost no leading zeros; a missing id cannot be fixed."
    )


def _starting_with(array: NDArray[Any]) -> str:
    # Text is left out: a damaged unicode array cannot even be printed.
    return "" if array.dtype.kind == "U" else f", starting with {array[:SHOWN].tolist()}"


def _further(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""


def _shortened(value: object) -> str:
    # int -> str is refused by Python beyond 4300 digits, and a message needs none of them.
    text = (
        f"an integer of {value.bit_length()} bits"
        if isinstance(value, int) and value.bit_length() > 200
        else repr(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def described(value: object, depth: int = 2) -> str:
    """What a message calls something that was found: its type and size, and its first item down to a depth."""
    inner = ""
    if isinstance(value, np.ndarray):
        if value.dtype == object and value.size and depth:
            inner = f", the first {described(value.flat[0], depth - 1)}"
        return f"an array of shape {value.shape} and dtype {value.dtype}{inner}"
    if isinstance(value, list | tuple) and value:
        inner = f", the first {described(value[0], depth - 1)}" if depth else ""
        return f"a {_type_name(value)} of {len(value):,}{inner}"
    if isinstance(value, dict):
        names = [_shortened(key) for key in value if isinstance(key, str | int)][:SHOWN]
        return f"a dict of {len(value):,} ({', '.join(names)}{_further(len(value))})"
    return f"a {_type_name(value)}"


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
