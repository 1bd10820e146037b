"""Rows without a vector, and several rows of one product: what a catalog entry says is to be done with them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.ids import Ids
from price_fusion.data.readers.formats.spooled import spooled
from price_fusion.data.readers.rows import first_rows, row_blocks
from price_fusion.errors import DataError, ParameterError

logger = logging.getLogger(__name__)

Missing = Literal["refuse", "null", "nan", "zero"]
Several = Literal["refuse", "mean"]
BLOCK_ROWS = 2_048


@dataclass(frozen=True)
class RowRules:
    """What is done with rows that are no embedding, and with several of one product.

    Attributes:
        missing: which rows count as no embedding of their product, as of one without an image. ``null``: nothing where a
            vector should be (None, null, NaN). ``nan``: these, and vectors of nothing but NaN. ``zero``: vectors of nothing but zeros.
        several_rows: what becomes of several rows of one id.

    Raises:
        ParameterError: naming a value that is none of these.
    """

    missing: Missing = "refuse"
    several_rows: Several = "refuse"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("missing", self.missing, get_args(Missing)),
            ("several_rows", self.several_rows, get_args(Several)),
        ):
            if value not in known:
                raise ParameterError(
                    f"{name}: found {value!r}, expected one of {', '.join(known)}. Correct it in the catalog entry."
                )

    def kept(self, vectors: NDArray[Any], nulls: NDArray[np.int64], origin: str) -> NDArray[np.int64] | None:
        """Rows of a matrix (N, D) that are embeddings; None where all are.

        Args:
            vectors: of N rows.
            nulls: rows without a vector.
            origin: the file, for messages.

        Raises:
            DataError: if there are rows without a vector and nothing says that these count as missing, or no row is left.
        """
        if len(nulls) and self.missing not in ("null", "nan"):
            raise DataError(
                f"{origin}: {len(nulls):,} of {len(vectors):,} rows are null ({first_rows(nulls)}), expected a vector in each. Leave "
                "these rows out of the file (frame.dropna), or set 'missing: null' in its catalog entry: a source may lack products."
            )
        missing = np.zeros(len(vectors), dtype=bool)
        missing[nulls] = True
        if self.missing in ("nan", "zero"):
            for block in row_blocks(len(vectors), BLOCK_ROWS):
                part = vectors[block]
                missing[block] |= (np.isnan(part) if self.missing == "nan" else part == 0).all(axis=1)
        count = int(missing.sum())
        if count == len(vectors):
            raise DataError(
                f"{origin}: all {count:,} rows count as missing (missing: {self.missing}), expected vectors. Write the file again."
            )
        if not count:
            return None
        logger.info("%s: %d of %d rows count as missing (missing: %s)", origin, count, len(vectors), self.missing)
        return np.flatnonzero(~missing)


def chosen_rows(vectors: NDArray[Any], rows: NDArray[np.int64], origin: str) -> NDArray[Any]:
    """Some rows of a matrix (N, D), of which no more than a block is copied in memory."""
    return spooled((vectors[rows[block]] for block in row_blocks(len(rows), BLOCK_ROWS)), origin)


def averaged(ids: Ids, vectors: NDArray[Any], origin: str) -> tuple[Ids, NDArray[Any]]:
    """Each id once, in the order in which they first occur, with the mean of its rows.

    Args:
        ids: (N,).
        vectors: (N, D).
        origin: the file, for messages.

    Returns:
        what was given where no id repeats; else means in float32, or float64 of such, added up in float64. An id of one row
        keeps its vector, value for value.
    """
    _, first, inverse, counts = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
    if len(first) == len(ids):
        return ids, vectors
    order = np.argsort(first, kind="stable")
    rows = np.argsort(np.argsort(order, kind="stable")[inverse], kind="stable")  # by id, in the order of the file
    counts = counts[order]
    logger.info("%s: %d rows averaged to those of %d products", origin, len(ids), len(first))
    dtype = np.dtype(np.float64 if vectors.dtype.itemsize == 8 else np.float32)
    return ids[first[order]], spooled(_means(vectors, rows, counts, dtype), origin)


def _means(
    vectors: NDArray[Any], rows: NDArray[np.int64], counts: NDArray[np.int64], dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    ends = np.cumsum(counts)
    for block in row_blocks(len(counts), BLOCK_ROWS):
        start = int(ends[block.start] - counts[block.start])
        part = vectors[rows[start : int(ends[block.stop - 1])]].astype(np.float64)
        sums = np.add.reduceat(part, ends[block] - counts[block] - start, axis=0)
        yield (sums / counts[block, None]).astype(dtype)
