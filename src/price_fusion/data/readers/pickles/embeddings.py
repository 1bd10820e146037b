"""Ids and vectors in what a pickle held: a dict of arrays, or a data frame."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.names import absent
from price_fusion.data.readers.pickles.frames import PickledFrame
from price_fusion.data.readers.raw import RawEmbeddings, described
from price_fusion.errors import DataError

_SINGULAR = {"embeddings": "embedding", "sample_ids": "sample_id"}
"""A dict's usual keys, and the usual names of a frame's columns."""
_SHOWN = 5
"""Columns and rows that a message spells out."""
_UNNAMED = "index"
"""What pandas calls an index without a name once it is a column."""


def embeddings_in(content: object, embeddings: str, ids: str, origin: str) -> RawEmbeddings:
    """Find ids and vectors.

    Args:
        content: a dict, or a frame. A frame has its ids in the column ``ids`` or in an index of that name, and its
            vectors in the column ``embeddings`` (arrays or lists) or in all columns that are not the ids.
        embeddings: key or column of the vectors. ``embedding`` will do for the default ``embeddings`` in a frame.
        ids: key, column or name of the index, likewise; ``index`` for one without a name.
        origin: the file, for messages.

    Raises:
        DataError: if it is neither, or they are not in it, or not of the right kind.
        AlignmentError: if an id occurs twice.
    """
    if isinstance(content, PickledFrame):
        _refuse_repeated_columns(content, origin)
        found_ids, vectors = _in_frame(content, embeddings, ids, origin)
        return RawEmbeddings.from_arrays(found_ids, vectors, origin)
    if not isinstance(content, dict):
        raise _other_content(content, embeddings, ids, origin)
    for key in (embeddings, ids):
        if key not in content:
            raise _without_key(content, key, embeddings, ids, origin)
    return RawEmbeddings.from_arrays(content[ids], content[embeddings], origin)


def _without_key(content: dict[Any, Any], key: str, embeddings: str, ids: str, origin: str) -> DataError:
    first = next(iter(content.items()), None)
    if first is not None and _is_vector(first[1]) and not isinstance(content.get(embeddings), np.ndarray):
        return DataError(
            f"{origin}: found a dict from ids to vectors (of {len(content):,} products; the first vector is "
            f"{described(first[1])}), expected a dict with {embeddings!r} and {ids!r}. Write "
            f"{{{embeddings!r}: numpy.stack(list(found.values())), {ids!r}: list(found)}}."
        )
    error = absent(origin, "key", key, [name for name in content if isinstance(name, str)])
    if first is not None and isinstance(first[1], dict):
        return DataError(f"{error} Its values are dicts: write each of them as a file of its own.")
    return error


def _other_content(content: object, embeddings: str, ids: str, origin: str) -> DataError:
    dictionary = f"{{{embeddings!r}: vectors, {ids!r}: ids}}"
    advice = f"Write {dictionary}, with one id for each row of the vectors."
    if isinstance(content, list | tuple) and len(content) and isinstance(content[0], dict):
        advice = f"Write {dictionary}, the vectors with numpy.stack and the ids as a list."
    return DataError(
        f"{origin}: found {described(content)} in the pickle, expected a dict with {embeddings!r} and {ids!r}, or a data frame. "
        f"{advice}"
    )


def _is_vector(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind == "f"
    return isinstance(value, list | tuple) and len(value) > 1 and all(type(one) is float for one in value)


def _in_frame(frame: PickledFrame, embeddings: str, ids: str, origin: str) -> tuple[NDArray[Any], NDArray[Any]]:
    id_column = _label(frame, ids)
    vector_column = _label(frame, embeddings)
    found = frame.column(id_column) if id_column is not None else _row_labels(frame, ids, origin)
    if vector_column is not None:
        return found, _stacked(frame.column(vector_column), f"{origin}, column {vector_column!r}")
    return found, _side_by_side(frame, id_column, embeddings, origin)


def _refuse_repeated_columns(frame: PickledFrame, origin: str) -> None:
    twice = [str(label) for label, count in Counter(frame.labels).items() if count > 1]
    if twice:
        raise DataError(
            f"{origin}: found more than one column {', '.join(map(repr, twice[:_SHOWN]))}, expected one of each name. Rename or "
            "remove the others."
        )


def _label(frame: PickledFrame, name: str) -> str | None:
    return next((label for label in (name, _SINGULAR.get(name)) if label is not None and label in frame.labels), None)


def _row_labels(frame: PickledFrame, ids: str, origin: str) -> NDArray[Any]:
    """The index, if its name or the catalog says that it holds the ids.

    Labels that nobody named are mostly the row numbers that filtering, sorting or sampling left: taken for ids, they give
    products the vectors of others.
    """
    if frame.row_name in (ids, _SINGULAR.get(ids)) or (frame.row_name is None and ids == _UNNAMED):
        return frame.row_labels()
    labels = ", ".join(str(label) for label in frame.row_labels()[:3].tolist())
    if frame.row_name is not None:
        raise absent(origin, "column", ids, [*map(str, frame.labels), f"{frame.row_name} (the index)"])
    error = absent(origin, "column", ids, map(str, frame.labels))
    raise DataError(
        f"{error} Its index ({labels}, ...) has no name, so it may hold row numbers. If it does hold the ids, write the frame "
        f"again with frame.rename_axis('sample_id'), or set 'ids: {_UNNAMED}' in the catalog entry."
    )


def _stacked(rows: NDArray[Any], where: str) -> NDArray[Any]:
    """A column of arrays or lists as a matrix (N, D).

    Raises:
        DataError: naming the first row that is no vector or of another length.
    """
    items = rows.tolist() if rows.dtype != object else list(rows)
    missing = [number for number, row in enumerate(items) if row is None or isinstance(row, float)]
    if missing:
        shown = ", ".join(map(str, missing[:_SHOWN])) + (", ..." if len(missing) > _SHOWN else "")
        raise DataError(
            f"{where}: {len(missing):,} of {len(items):,} rows hold None or a single number instead of a vector (row {shown}), "
            "expected one each. A source may lack products: leave these rows out of the file (frame.dropna)."
        )
    vectors = [_vector(row, number, where) for number, row in enumerate(items)]
    uneven = [number for number, vector in enumerate(vectors) if vector.shape != vectors[0].shape]
    if uneven:
        raise DataError(
            f"{where}: found {len(vectors[uneven[0]])} numbers in row {uneven[0]} and {len(vectors[0])} in row 0, expected "
            "one width. Write the vectors of one encoder only."
        )
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)


def _vector(row: object, number: int, where: str) -> NDArray[Any]:
    if isinstance(row, list | tuple) and all(type(value) is float for value in row):
        return np.array(row, dtype=np.float64)
    if isinstance(row, np.ndarray) and row.ndim == 1 and row.dtype.kind == "f":
        return np.asarray(row)
    raise DataError(
        f"{where}: found {described(row)} in row {number} that is no vector of floats, expected a 1-d array or a "
        "list of floats a row. Write the vectors as such."
    )


def _side_by_side(frame: PickledFrame, id_column: str | None, embeddings: str, origin: str) -> NDArray[Any]:
    labels = [label for label in frame.labels if label != id_column]
    others = [label for label in labels if frame.column(label).dtype.kind != "f"]
    if others or not labels:
        columns = ", ".join(f"{str(label)!r}" for label in others[:5]) or "none"
        raise DataError(
            f"{origin}: found no column {embeddings!r}, and columns that are no floats ({columns}), expected a column of "
            "vectors, or a column of floats for each dimension and nothing else but ids. Name the column in the catalog, "
            "or leave the others out."
        )
    return frame.matrix(labels)
