"""Values of embeddings that no model can use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.rows import row_blocks
from price_fusion.errors import DataError, few

BLOCK_ROWS = 2_048
"""Rows checked at a time: a few megabytes, which stay in the processor's cache."""


def unusable(block: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which values are NaN, infinite or beyond float32; of the block's shape."""
    if block.dtype.itemsize <= np.dtype(np.float32).itemsize:
        return np.asarray(~np.isfinite(block))
    return np.asarray(~(np.abs(block) <= np.finfo(np.float32).max))


def unusable_rows(vectors: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Rows of a matrix (N, D) with a value that is NaN, infinite or beyond float32, in one pass in blocks."""
    found = [
        np.flatnonzero(unusable(vectors[block]).any(axis=1)) + block.start
        for block in row_blocks(len(vectors), BLOCK_ROWS)
    ]
    return np.concatenate(found) if found else np.empty(0, dtype=np.intp)


def refuse_unusable(raw: RawEmbeddings) -> None:
    """Refuse embeddings that hold anything but finite numbers within float32.

    Raises:
        DataError: with the file and row of the first one, the number of such rows in the whole matrix, and the first ids.
    """
    rows = unusable_rows(raw.vectors)
    if not len(rows):
        return
    first = int(rows[0])
    column = int(np.flatnonzero(unusable(raw.vectors[first]))[0])
    others = ""
    if len(rows) > 1:
        others = f"; {len(rows):,} of {len(raw.vectors):,} rows hold such values, ids {few(raw.ids[rows].tolist())}"
    raise DataError(
        f"{raw.place_of(first)} (id {raw.ids[first]}), column {column}: found {raw.vectors[first, column]}, expected a "
        f"finite number within float32{others}. Remove these products from the file or embed them again."
    )
