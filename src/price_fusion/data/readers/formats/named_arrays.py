"""Ids and vectors among what a file held: arrays by name, a data frame, a dict of vectors by id, or one array alone.

Read in a child process for pickles: neither pandas nor pyarrow is needed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.formats.dimensions import dimensions
from price_fusion.data.readers.names import absent, chosen
from price_fusion.data.readers.pickles.frames import PickledFrame
from price_fusion.data.readers.raw import described
from price_fusion.data.readers.rows import ID_NAMES, VECTOR_NAMES, Asked, FoundRows
from price_fusion.errors import SHOWN, DataError

_UNNAMED = "index"
"""What pandas calls an index without a name once it is a column."""


def rows_in(content: object, asked: Asked, origin: str) -> FoundRows:
    """Find ids and vectors.

    Args:
        content: arrays by name; vectors by id; a frame; or vectors alone, where ``asked`` says that they are in the order of
            the product file. Vectors are a matrix, or a list of vectors. A frame has its ids in a column or in an index of
            that name, and its vectors in a column (arrays or lists) or in a column of floats for each dimension.
        asked: names of keys or columns.
        origin: the file, for messages.

    Raises:
        DataError: if it is none of them, or they are not in it, or not of the right kind.
    """
    if isinstance(content, PickledFrame):
        return _in_frame(content, asked, origin)
    if isinstance(content, Mapping):
        return _in_mapping(content, asked, origin)
    if _is_matrix(content) or _are_vectors(content):
        if asked.of_products:
            return _found(None, content, f"{origin}, its one array")
        raise DataError(
            f"{origin}: found {described(content)} without ids, expected ids beside the vectors. Write "
            f"{{'embeddings': vectors, 'ids': ids}}, or set 'ids: products' in its catalog entry if row n of the vectors "
            "belongs to product n of the product file."
        )
    raise _other_content(content, origin)


def _in_mapping(content: Mapping[Any, Any], asked: Asked, origin: str) -> FoundRows:
    names = [name for name in content if isinstance(name, str)]
    key = chosen(asked.embeddings, VECTOR_NAMES, names)
    if key is None and asked.embeddings is None and _is_by_id(content, names, asked):
        return _found(list(content), list(content.values()), f"{origin}, its vectors by id")
    if key is None and asked.embeddings is None:
        matrices = [name for name in names if _is_matrix(content[name])]
        key = matrices[0] if len(matrices) == 1 else None
    if key is None:
        raise _without_key(content, asked.embeddings or VECTOR_NAMES[0], names, origin)
    if asked.of_products:
        return _found(None, content[key], f"{origin}, {key!r}")
    ids = chosen(asked.ids, ID_NAMES, names)
    if ids is None:
        raise _without_key(content, asked.ids or ID_NAMES[0], names, origin)
    return _found(content[ids], content[key], f"{origin}, {key!r}")


def _found(ids: object, vectors: object, where: str) -> FoundRows:
    """Vectors as a matrix, if they are a list of such; what else they are is judged later."""
    if isinstance(vectors, list | tuple) or (
        isinstance(vectors, np.ndarray) and vectors.dtype == object and vectors.ndim == 1
    ):
        matrix, nulls = _stacked(list(vectors), where)
        return FoundRows(ids, matrix, nulls)
    return FoundRows(ids, vectors)


def _is_by_id(content: Mapping[Any, Any], names: Sequence[str], asked: Asked) -> bool:
    """Whether a dict has a vector for each id: no key has a usual name of ids, and the first value that is there is a vector."""
    if asked.ids is not None or any(name in names for name in (*ID_NAMES, *VECTOR_NAMES)):
        return False
    return _is_vector(next((value for value in content.values() if value is not None), None))


def _without_key(content: Mapping[Any, Any], key: str, names: Sequence[str], origin: str) -> DataError:
    error = absent(origin, "key", key, names)
    if isinstance(next(iter(content.values()), None), dict):
        return DataError(f"{error} Its values are dicts: write each of them as a file of its own.")
    return error


def _other_content(content: object, origin: str) -> DataError:
    dictionary = "{'embeddings': vectors, 'ids': ids}"
    advice = f"Write {dictionary}, with one id for each row of the vectors."
    if isinstance(content, list | tuple) and len(content) and isinstance(content[0], dict):
        advice = f"Write {dictionary}, the vectors with numpy.stack and the ids as a list."
    return DataError(
        f"{origin}: found {described(content)}, expected a dict with 'embeddings' and 'ids', a dict from ids to vectors, "
        f"or a data frame. {advice}"
    )


def _is_matrix(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind == "f"


def _are_vectors(value: object) -> bool:
    return isinstance(value, list | tuple) and _is_vector(next((one for one in value if one is not None), None))


def _is_vector(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and (value.ndim == 1 or (value.ndim == 2 and len(value) == 1))
    return isinstance(value, list | tuple) and len(value) > 1 and all(type(one) is float for one in value)


# --- frames ---


def _in_frame(frame: PickledFrame, asked: Asked, origin: str) -> FoundRows:
    twice = [str(label) for label, count in Counter(frame.labels).items() if count > 1]
    if twice:
        raise DataError(
            f"{origin}: found more than one column {', '.join(map(repr, twice[:SHOWN]))}, expected one of each name. Rename or "
            "remove the others."
        )
    labels = [label for label in frame.labels if isinstance(label, str)]
    id_column = None if asked.of_products else chosen(asked.ids, ID_NAMES, labels)
    ids = None
    if not asked.of_products:
        ids = frame.column(id_column) if id_column is not None else _row_labels(frame, asked, origin)
    vectors = chosen(asked.embeddings, VECTOR_NAMES, labels)
    if vectors is None and asked.embeddings is None:
        of_vectors = [label for label in labels if label != id_column and _has_vectors(frame.column(label))]
        vectors = of_vectors[0] if len(of_vectors) == 1 else None
    if vectors is not None:
        return _found(ids, list(frame.column(vectors)), f"{origin}, column {vectors!r}")
    return _side_by_side(frame, ids, id_column, asked, origin)


def _has_vectors(column: NDArray[Any]) -> bool:
    """Whether the first value of a column that is there is a vector."""
    return column.dtype.kind == "O" and _is_vector(next((value for value in column if not _is_null(value)), None))


def _row_labels(frame: PickledFrame, asked: Asked, origin: str) -> NDArray[Any]:
    """The index, if its name or the catalog says that it holds the ids.

    Labels that nobody named are mostly the row numbers that filtering, sorting or sampling left: taken for ids, they give
    products the vectors of others.
    """
    name, wanted = frame.row_name, asked.ids or ID_NAMES[1]
    if (isinstance(name, str) and chosen(asked.ids, ID_NAMES, [name])) or (name is None and asked.ids == _UNNAMED):
        return frame.row_labels()
    labels = ", ".join(str(label) for label in frame.row_labels()[:3].tolist())
    if name is not None:
        raise absent(origin, "column", wanted, [*map(str, frame.labels), f"{name} (the index)"])
    error = absent(origin, "column", wanted, map(str, frame.labels))
    raise DataError(
        f"{error} Its index ({labels}, ...) has no name, so it may hold row numbers. If it does hold the ids, write the frame "
        f"again with frame.rename_axis('id'), or set 'ids: {_UNNAMED}' in the catalog entry."
    )


def _side_by_side(frame: PickledFrame, ids: object, id_column: str | None, asked: Asked, origin: str) -> FoundRows:
    floats = {str(label): label for label in frame.labels if frame.column(label).dtype.kind == "f"}
    others = [str(label) for label in frame.labels if str(label) not in floats and label != id_column]
    labels = [floats[name] for name in dimensions(list(floats), others, asked.embeddings, origin)]
    return FoundRows(ids, frame.matrix(labels))


# --- lists of vectors ---


def _stacked(items: Sequence[Any], where: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Arrays or lists as a matrix (N, D), and the rows that are none.

    Raises:
        DataError: naming the first row that is no vector or of another length.
    """
    nulls = np.array([number for number, row in enumerate(items) if _is_null(row)], dtype=np.int64)
    vectors = [None if _is_null(row) else _vector(row, number, where) for number, row in enumerate(items)]
    there = [number for number, vector in enumerate(vectors) if vector is not None]
    if not there:
        return np.empty((len(items), 0), np.float32), nulls
    first = vectors[there[0]]
    assert first is not None  # noqa: S101 - for the type checker
    uneven = [number for number in there if vectors[number].shape != first.shape]  # type: ignore[union-attr]
    if uneven:
        other = vectors[uneven[0]]
        raise DataError(
            f"{where}: found {len(other)} numbers in row {uneven[0]} and {len(first)} in row {there[0]}, expected "  # type: ignore[arg-type]
            "one width. Write the vectors of one encoder only."
        )
    empty = np.full_like(first, np.nan)
    return np.stack([empty if vector is None else vector for vector in vectors]), nulls


def _is_null(row: object) -> bool:
    return row is None or (isinstance(row, float | np.floating) and bool(np.isnan(row)))


def _vector(row: object, number: int, where: str) -> NDArray[Any]:
    if isinstance(row, list | tuple) and len(row) and all(type(value) is float for value in row):
        return np.array(row, dtype=np.float64)
    if isinstance(row, np.ndarray) and row.dtype.kind == "f" and (row.ndim == 1 or (row.ndim == 2 and len(row) == 1)):
        return np.asarray(row).reshape(-1)
    raise DataError(
        f"{where}: found {described(row)} in row {number} that is no vector of floats, expected a 1-d array or a "
        "list of floats a row. Write the vectors as such."
    )
