"""How far products are from the fit rows: by their embeddings, and by their other columns.

Shapes: ``F`` stored rows, ``M`` products, ``P`` parts: the columns of the design that are of one source.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.design import Design, blocks, even_blocks

STORED_ROWS = 4_096
"""Stored rows brought to float32 at a time."""

Stored = NDArray[np.float16]


class Squared(NamedTuple):
    """Squared distances to all stored rows, each 1 on average between two stored rows."""

    embeddings: Matrix
    """(M, F) of the embeddings in unit length, summed over sources."""
    columns: Matrix
    """(M, F) of the other columns."""

    @property
    def both(self) -> Matrix:
        """(M, F), the sum."""
        return self.embeddings + self.columns


class Geometry:
    """Squared distances between products and stored rows, of which any may lack sources.

    A product that lacks a source is, in it, about as far from each other as these are from each other on average.

    Args:
        design: of the rows.
        embeddings: (F, columns of embeddings) float16.
        columns: (F, other columns) float16.
    """

    def __init__(self, design: Design, embeddings: Stored, columns: Stored) -> None:
        self._embeddings = _Distance(design.embeddings, embeddings)
        self._columns = _Distance(design.columns, columns)

    def __len__(self) -> int:
        return len(self._embeddings.stored)

    @classmethod
    def of(cls, design: Design, matrix: Matrix) -> Self:
        """Store rows of the design, (F, D)."""
        return cls(design, *(_taken(matrix, parts).astype(np.float16) for parts in (design.embeddings, design.columns)))

    @classmethod
    def read(cls, design: Design, arrays: dict[str, NDArray[Any]]) -> Self:
        """From ``arrays``."""
        return cls(design, arrays["embeddings"], arrays["columns"])

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to write to disk."""
        return {"embeddings": self._embeddings.stored, "columns": self._columns.stored}

    def squared(self, matrix: Matrix) -> Squared:
        """Squared distances of rows of the design, (M, D)."""
        return Squared(self._embeddings.squared(matrix), self._columns.squared(matrix))


class _Distance:
    """Squared distances in some columns of the design.

    Rows are centred in each part. One that lacks a part stands at the centre, and off it in a direction of its own by as much
    as others are on average: so all are points of one space, and kernels of their distances are positive definite.

    Args:
        parts: the columns of each source.
        stored: (F, all of these columns) float16.
    """

    def __init__(self, parts: Sequence[slice], stored: Stored) -> None:
        self.stored = stored
        self._parts = parts
        ends = np.cumsum([0, *(part.stop - part.start for part in parts)]).tolist()
        self._own = [slice(*pair) for pair in pairwise(ends)]
        self._centre = self._mean().astype(np.float32)
        lengths = np.empty((len(stored), len(parts)))
        for rows in blocks(len(stored), STORED_ROWS):
            lengths[rows] = self._squared_lengths(*self._centred(stored[rows]))
        self._spread = self._mean_of_present(lengths)
        self._lengths = self._summed(lengths)
        self._scale = 2 * float(self._spread.sum()) or 1.0

    def squared(self, matrix: Matrix) -> Matrix:
        """(M, F), 1 on average between two stored rows; 0 where all of these are alike."""
        # As the stored rows are: a product among them is then no distance from itself.
        queries, absent = self._centred(_taken(matrix, self._parts).astype(np.float16))
        squared: Matrix = self._summed(self._squared_lengths(queries, absent))[:, None] + self._lengths
        for rows in even_blocks(len(self.stored), STORED_ROWS):
            squared[:, rows] -= 2 * _product(queries, self._centred(self.stored[rows])[0])
        np.maximum(squared, 0, out=squared)
        squared /= np.float32(self._scale)
        return squared

    def _mean(self) -> NDArray[np.float64]:
        """(columns,) of the stored rows that have a part."""
        total, count = np.zeros(self.stored.shape[1]), np.zeros(self.stored.shape[1])
        for rows in blocks(len(self.stored), STORED_ROWS):
            block = self.stored[rows].astype(np.float32)
            total += block.sum(axis=0, dtype=np.float64)
            for own in self._own:
                count[own] += block[:, own].any(axis=1).sum()
        return total / np.maximum(count, 1)

    def _centred(self, rows: Stored) -> tuple[Matrix, NDArray[np.bool_]]:
        """Centred rows, 0 in parts that they lack, and which parts these are, (M, P)."""
        centred = rows.astype(np.float32)
        absent = np.empty((len(rows), len(self._own)), dtype=bool)
        for place, own in enumerate(self._own):
            part = centred[:, own]
            absent[:, place] = ~part.any(axis=1)
            part -= self._centre[own]
            part[absent[:, place]] = 0
        return centred, absent

    def _squared_lengths(self, centred: Matrix, absent: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Squared lengths of centred rows in each part, (M, P), NaN in parts that they lack."""
        lengths = np.empty(absent.shape)
        for place, own in enumerate(self._own):
            lengths[:, place] = np.square(centred[:, own]).sum(axis=1)
        lengths[absent] = np.nan
        return lengths

    def _mean_of_present(self, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean squared length of stored rows in each part, (P,); 0 where they are alike but for rounding."""
        mean = np.nansum(lengths, axis=0) / np.maximum((~np.isnan(lengths)).sum(axis=0), 1)
        rounding = [1e-6 * np.square(self._centre[own]).sum() for own in self._own]
        return np.where(mean > rounding, mean, 0.0)

    def _summed(self, lengths: NDArray[np.float64]) -> Matrix:
        """Squared lengths of rows over all parts, (M,)."""
        summed: Matrix = np.where(np.isnan(lengths), self._spread, lengths).sum(axis=1).astype(np.float32)
        return summed


def _product(queries: Matrix, stored: Matrix) -> Matrix:
    """Scalar products of rows, (M, F).

    By torch: among as many others, it gives a row the same bits in any place, which OpenBLAS does not. (Compared with no more
    than eight stored rows, neither does torch: hence the even blocks of them.)
    """
    return (torch.from_numpy(queries) @ torch.from_numpy(stored).T).numpy()


def _taken(matrix: Matrix, parts: Sequence[slice]) -> Matrix:
    """Some columns of a matrix, side by side."""
    return np.hstack([matrix[:, :0], *(matrix[:, part] for part in parts)])
