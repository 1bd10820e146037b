"""The bounded search finds exactly what comparing each row with each finds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from price_fusion.data.table import EmbeddingTable
from price_fusion.selection.leaks import near_duplicates
from price_fusion.selection.leaks.near_duplicates import Embeddings, distinct_rows, near_pairs

Make = Callable[..., EmbeddingTable]


def embeddings_of(make_table: Make, vectors: np.ndarray, **options: object) -> Embeddings:
    table = make_table(np.arange(len(vectors)), vectors.astype(np.float32), dtype="float32", **options)
    return Embeddings((table, np.arange(len(vectors))))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(2, 120),
    width=st.integers(2, 80),
    near=st.sampled_from([0.95, 0.99, 0.999]),
    offset=st.floats(0, 5),
)
def test_pairs_are_those_of_comparing_each_with_each(
    make_table: Make, seed: int, rows: int, width: int, near: float, offset: float
) -> None:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(rows, width)) + offset
    copies = generator.integers(rows, size=rows // 3)
    vectors[copies] = vectors[generator.integers(rows, size=rows // 3)]
    vectors[copies] *= 1 + 0.02 * generator.normal(size=(len(copies), width))
    pairs = near_pairs(embeddings_of(make_table, vectors), np.arange(rows), near)
    assert pairs is not None
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    found = {(min(pair), max(pair)) for pair in pairs.tolist()}
    assert len(found) == len(pairs)
    one, other = np.nonzero(np.triu(cosines >= near + 1e-6, k=1))
    assert set(zip(one.tolist(), other.tolist(), strict=True)) <= found
    assert all(cosines[pair] >= near - 1e-6 for pair in found)
    assert np.all(np.diff(cosines[pairs[:, 0], pairs[:, 1]]) < 1e-6)


def test_pairs_reach_across_blocks(make_table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK_ROWS", 16)
    vectors = np.random.default_rng(1).normal(size=(200, 40))
    vectors[150:] = 3 * vectors[:50]
    pairs = near_pairs(embeddings_of(make_table, vectors, rows_per_shard=70), np.arange(200), 0.999)
    assert pairs is not None
    assert {(min(pair), max(pair)) for pair in pairs.tolist()} == {(row, row + 150) for row in range(50)}


def test_the_same_row_of_either_table_has_one_number(make_table: Make) -> None:
    vectors = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    tables = make_table(np.arange(6), vectors), make_table(np.arange(3), vectors[[5, 5, 0]])
    distinct = distinct_rows(Embeddings((tables[0], np.array([3, 0, -1, 5])), (tables[1], np.array([2, 1, 0]))))
    assert distinct.codes[[2]] == -1
    assert distinct.codes[1] == distinct.codes[4]
    assert distinct.codes[3] == distinct.codes[5] == distinct.codes[6]
    assert len(distinct.first) == 3
    assert distinct.codes[distinct.first].tolist() == [0, 1, 2]
    assert distinct.common == 0


def test_rows_that_are_common_or_zero_are_like_nobody(make_table: Make) -> None:
    vectors = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
    vectors[:20] = vectors[0]  # a blank picture
    vectors[20:22] = 0
    vectors[22:24] = vectors[22]  # a product that is there twice
    distinct = distinct_rows(embeddings_of(make_table, vectors))
    assert distinct.common == 22
    assert (distinct.codes[:22] == -1).all()
    assert distinct.codes[22] == distinct.codes[23] >= 0
    assert len(distinct.first) == 300 - 22 - 1


def test_a_search_among_rows_that_are_all_alike_is_given_up(make_table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_CANDIDATES", 1_000)
    vectors = 1 + 0.001 * np.random.default_rng(4).normal(size=(100, 8))
    assert near_pairs(embeddings_of(make_table, vectors), np.arange(100), 0.999) is None


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_is_near_a_single_row(make_table: Make, rows: int) -> None:
    pairs = near_pairs(embeddings_of(make_table, np.ones((3, 2))), np.arange(rows), 0.999)
    assert pairs is not None
    assert pairs.shape == (0, 2)
