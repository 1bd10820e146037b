"""Likely mistakes in the matrix of a source: one pass in blocks, nothing of its size is copied.

Shape letters: ``N`` rows, ``D`` columns, ``B`` rows of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.checks.product_checks import repeats_of_note
from price_fusion.data.checks.suspicions import Suspicion, first
from price_fusion.data.checks.values import BLOCK_ROWS
from price_fusion.data.ids import Ids, are_among
from price_fusion.data.readers.rows import row_blocks
from price_fusion.data.table import EmbeddingTable
from price_fusion.parameters import CheckParameters

_WORD = np.dtype(np.uint64)
_HASH_SEED = 20_250_101


@dataclass(frozen=True)
class MatrixFacts:
    """What one pass over a matrix (N, D) finds out.

    Attributes:
        norms: Euclidean norm of each row, float64 (N,); 0 exactly where all values are 0.
        hashes: of each row's bytes, uint64 (N,): equal rows have equal ones.
        constant: whether each column has one value only, bool (D,).
    """

    norms: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    constant: NDArray[np.bool_]


def suspicions_of_table(table: EmbeddingTable, checks: CheckParameters) -> Iterator[Suspicion]:
    """What is likely to be wrong with the embeddings of a source; of a source of columns, nothing is checked.

    Args:
        table: of the source.
        checks: thresholds.
    """
    if not table.width:
        return
    shards = table.vectors
    facts = matrix_facts(shards)
    where = f"{table.source} ({table.origin})"
    zero = np.flatnonzero(facts.norms == 0)
    if len(zero):
        yield Suspicion(
            where,
            "zero_embedding",
            "embeddings of nothing but zeros",
            len(zero),
            table.rows,
            "rows",
            first(table.ids[zero]),
            "If the encoder failed on them, or their image is missing, set 'missing: zero' in the catalog entry: a source may lack products.",
        )
    yield from _of_repeats(shards, facts, table, checks, where)
    yield from _of_norms(facts, table, checks, where)
    columns = np.flatnonzero(np.concatenate([facts.constant, _constant_structural(table)]))
    if len(columns) and table.rows > 1:
        yield Suspicion(
            where,
            "constant_column",
            "columns with one and the same value in all rows",
            len(columns),
            table.width + table.structural_columns,
            "columns",
            first(columns),
            "Check that the file was written whole; a model learns nothing from them.",
        )


def suspicions_of_coverage(
    table: EmbeddingTable, ids: Ids, checks: CheckParameters, origin: str
) -> Iterator[Suspicion]:
    """A source that lacks many of the products: mostly a file of a part of them.

    Args:
        table: of the source.
        ids: of the products, (N,).
        checks: thresholds.
        origin: what the products are called in messages.
    """
    if not table.width:
        return
    missing = np.flatnonzero(~are_among(ids, table.ids))
    if len(missing) > checks.missing_share * len(ids):
        yield Suspicion(
            f"{table.source} ({table.origin})",
            "missing_products",
            f"no embeddings of many {origin}",
            len(missing),
            len(ids),
            "products",
            first(ids[missing]),
            "Check that the file is whole and of these products; a model learns little from a source that most of them lack.",
        )


def matrix_facts(shards: list[NDArray[np.floating[Any]]]) -> MatrixFacts:
    """Norms, hashes and constant columns of a matrix in shards (rows, D)."""
    rows, width = sum(map(len, shards)), shards[0].shape[1]
    norms, hashes = np.empty(rows), np.empty(rows, dtype=_WORD)
    varied = np.zeros(width, dtype=bool)
    # Squares of float16 fit float32, those of float32 do not.
    exact = np.dtype(np.float32 if shards[0].dtype == np.float16 else np.float64)
    reference = shards[0][0]
    start = 0
    for shard in shards:
        for block in row_blocks(len(shard), BLOCK_ROWS):
            part = shard[block]
            place = slice(start + block.start, start + block.stop)
            values = part.astype(exact)
            norms[place] = np.sqrt(np.einsum("bd,bd->b", values, values))
            hashes[place] = row_hashes(part)
            open_columns = np.flatnonzero(~varied)
            varied[open_columns] = (part[:, open_columns] != reference[open_columns]).any(axis=0)
        start += len(shard)
    return MatrixFacts(norms, hashes, ~varied)


def row_hashes(block: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    """Hashes of the bytes of each row, uint64 (B,): a sum of its 64-bit words, each times an odd random number.

    Whole numbers, so that a row's hash is the same wherever it stands; a projection in floating point need not be.
    """
    size = block.shape[1] * block.itemsize
    if size % _WORD.itemsize:
        padded = np.zeros((len(block), -(-size // _WORD.itemsize) * _WORD.itemsize // block.itemsize), block.dtype)
        padded[:, : block.shape[1]] = block
        block = padded
    words = np.ascontiguousarray(block).view(_WORD)
    factors = np.random.default_rng(_HASH_SEED).integers(0, 2**63, words.shape[1], dtype=_WORD) * 2 + 1
    mixed = words ^ (words >> np.uint64(29))
    return np.asarray(np.einsum("bw,w->b", mixed, factors))


def _of_repeats(
    shards: list[NDArray[np.floating[Any]]],
    facts: MatrixFacts,
    table: EmbeddingTable,
    checks: CheckParameters,
    where: str,
) -> Iterator[Suspicion]:
    """Embeddings that too many rows share, but for those of zeros."""
    values, counts = np.unique(facts.hashes[facts.norms > 0], return_counts=True)
    least = repeats_of_note(table.rows, checks)
    groups = []
    for value in values[counts >= least]:
        candidates = np.flatnonzero((facts.hashes == value) & (facts.norms > 0))
        groups.append(candidates[_equal_to_first(shards, candidates)])
    groups = sorted((rows for rows in groups if len(rows) >= least), key=len, reverse=True)
    if groups:
        others = f" and {len(groups) - 1} further one(s)" if len(groups) > 1 else ""
        yield Suspicion(
            where,
            "repeated_embedding",
            f"one and the same embedding{others}",
            sum(map(len, groups)),
            table.rows,
            "rows",
            first(table.ids[groups[0]]),
            "It may be the encoder's of an empty text or a missing image: remove these rows.",
        )


def _equal_to_first(shards: list[NDArray[np.floating[Any]]], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which rows of a matrix in shards are byte for byte the first of them, bool (len(rows),)."""
    starts = np.cumsum([0, *map(len, shards[:-1])])
    shard_of = np.searchsorted(starts, rows, side="right") - 1
    wanted = shards[shard_of[0]][rows[0] - starts[shard_of[0]]].tobytes()
    pairs = zip(rows, shard_of, strict=True)
    return np.array([shards[shard][row - starts[shard]].tobytes() == wanted for row, shard in pairs])


def _of_norms(facts: MatrixFacts, table: EmbeddingTable, checks: CheckParameters, where: str) -> Iterator[Suspicion]:
    known = facts.norms > 0
    if not known.any():
        return
    median = float(np.median(facts.norms[known]))
    far = (facts.norms > checks.norm_factor * median) | (facts.norms < median / checks.norm_factor)
    rows = np.flatnonzero(far & known)
    if len(rows):
        low, high = facts.norms[rows].min(), facts.norms[rows].max()
        yield Suspicion(
            where,
            "odd_norm",
            f"embeddings of norms {low:.3g} to {high:.3g} where the median is {median:.3g}",
            len(rows),
            table.rows,
            "rows",
            first(table.ids[rows]),
            "Check that all rows are of one encoder, and normalised alike.",
        )


def _constant_structural(table: EmbeddingTable) -> NDArray[np.bool_]:
    return np.asarray((table.structural == table.structural[0]).all(axis=0))
