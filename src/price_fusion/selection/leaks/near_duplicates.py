"""Identical and near-identical rows of embeddings, without comparing each with each at full width.

Unit vectors of cosine ``t`` are ``sqrt(2 - 2t)`` apart, and an orthogonal projection never moves two vectors apart. So only
pairs that are as close in a few directions are compared at full width, and of these only pairs whose first coordinates are
that close. Nothing is missed by it: the directions (principal ones of some rows) decide about speed alone.

Shapes: ``N`` products, ``U`` different rows, ``D`` columns, ``K`` directions, ``P`` pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.models.features import Shards

Rows = NDArray[np.int64]
Matrix = NDArray[np.float32]

COMMON_SHARE = 0.01
COMMON_LEAST = 10
"""A row that more products than both of these have stands for something missing, such as a blank picture."""
DIRECTIONS = 32
BLOCK_ROWS = 4_096
SAMPLE_ROWS = 8_192
"""Rows that the principal directions are of."""
SLACK = 1e-5
"""Of squared distances in float32."""
MOST_CANDIDATES = 20_000_000
"""Pairs to compare at full width; with more of them, ``near`` says nothing about these embeddings."""


class Embeddings:
    """Rows of a source's tables, for products some of which are in one table and some in another.

    Args:
        parts: tables, each with the rows (n,) in it of consecutive products, -1 where it lacks the product.
    """

    def __init__(self, *parts: tuple[EmbeddingTable, Rows]) -> None:
        self.rows = np.concatenate([rows for _, rows in parts])
        """(N,) in the product's own table."""
        self._shards = Shards([torch.from_numpy(shard) for table, _ in parts for shard in table.vectors])
        offsets = np.cumsum([0, *(table.rows for table, _ in parts)])
        places = [rows + offset for (_, rows), offset in zip(parts, offsets, strict=False)]
        self._places = np.concatenate(places)

    def __getitem__(self, products: Rows) -> Matrix:
        """Rows of products that the source knows, (M, D) as stored but in float32."""
        gathered: Matrix = self._shards[torch.from_numpy(self._places[products])].float().numpy()
        return gathered

    def unit(self, products: Rows) -> Matrix:
        """The same in unit length; none of the rows may be zero."""
        vectors = self[products]
        vectors /= np.abs(vectors).max(axis=1, keepdims=True)  # squares of float32's largest values are infinite
        unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


@dataclass(frozen=True)
class DistinctRows:
    """Which products have the same row."""

    codes: Rows
    """(N,) number of the row, -1 where the source lacks the product or its row is common to many."""
    first: Rows
    """(U,) the first product with each row."""
    common: int
    """Products whose row is common to many, or zero."""


def distinct_rows(embeddings: Embeddings) -> DistinctRows:
    """Number the different rows of a source."""
    known = np.flatnonzero(embeddings.rows >= 0)
    digests: list[bytes] = []
    for block in _blocks(known):
        digests += [_digest(row) for row in embeddings[block]]
    numbers, found = pd.factorize(np.array(digests, dtype=object))
    counts = np.bincount(numbers, minlength=len(found))
    is_common = counts > max(COMMON_SHARE * len(known), COMMON_LEAST)
    is_common |= found == b""
    renumbered = np.where(is_common, -1, np.cumsum(~is_common) - 1)
    codes = np.full(len(embeddings.rows), -1)
    codes[known] = renumbered[numbers]
    _, first = np.unique(codes[codes >= 0], return_index=True)
    return DistinctRows(codes, np.flatnonzero(codes >= 0)[first], int(counts[is_common].sum()))


def near_pairs(embeddings: Embeddings, products: Rows, near: float) -> Rows | None:
    """Pairs of near-identical rows.

    Args:
        embeddings: of a source.
        products: (U,) one with each row.
        near: cosine from which on rows are near-identical.

    Returns:
        (P, 2) places among the U, each pair once, the closest first; None where so many rows are alike that the search
        was given up.
    """
    if len(products) < 2:
        return np.empty((0, 2), np.int64)
    projected = _projected(embeddings, products)
    found, cosines, candidates = [], [], 0
    for block in _candidates(projected, 2 * (1 - near) + SLACK):
        candidates += len(block)
        if candidates > MOST_CANDIDATES:
            return None
        cosine = _cosines(embeddings, products, block)
        found.append(block[cosine >= near])
        cosines.append(cosine[cosine >= near])
    if not found:
        return np.empty((0, 2), np.int64)
    return np.concatenate(found)[np.argsort(-np.concatenate(cosines), kind="stable")]


def _projected(embeddings: Embeddings, products: Rows) -> Matrix:
    """Coordinates of the rows in their principal directions, (U, K), the widest first."""
    sampled = embeddings.unit(products[:: -(-len(products) // SAMPLE_ROWS)])
    centre = sampled.mean(axis=0)
    _, directions = np.linalg.eigh((sampled - centre).T @ (sampled - centre))
    chosen = directions[:, ::-1][:, :DIRECTIONS]
    return np.concatenate([(embeddings.unit(block) - centre) @ chosen for block in _blocks(products)])


def _candidates(projected: Matrix, squared_distance: float) -> Iterator[Rows]:
    """Pairs (P, 2) whose coordinates are no farther apart, each once, in portions."""
    order = np.argsort(projected[:, 0], kind="stable")
    ordered = projected[order]
    lengths = np.square(ordered).sum(axis=1, keepdims=True)
    ones = np.ones_like(lengths)
    # One product of matrices gives |p|^2 - 2 pq + |q|^2.
    left, right = np.hstack([ordered, lengths, ones]), np.hstack([-2 * ordered, ones, lengths])
    reach = np.searchsorted(ordered[:, 0], ordered[:, 0] + np.sqrt(squared_distance), side="right")
    for start in range(0, len(ordered), BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, len(ordered))
        for first in range(start, int(reach[stop - 1]), BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, int(reach[stop - 1]))
            one, other = np.nonzero(left[start:stop] @ right[first:last].T <= squared_distance)
            later = other + first > one + start
            if later.any():
                yield np.column_stack([order[one[later] + start], order[other[later] + first]])


def _cosines(embeddings: Embeddings, products: Rows, pairs: Rows) -> Matrix:
    """Cosines of pairs, (P,)."""
    parts = [
        np.einsum("pd,pd->p", embeddings.unit(products[block[:, 0]]), embeddings.unit(products[block[:, 1]]))
        for block in _blocks(pairs)
    ]
    return np.concatenate(parts)


def _blocks(rows: Rows) -> Iterator[Rows]:
    return (rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS))


def _digest(row: Matrix) -> bytes:
    """Of a row's values, empty for a row of zeros."""
    return hashlib.blake2b(row.tobytes(), digest_size=16).digest() if row.any() else b""
