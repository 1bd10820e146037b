"""Likely mistakes in matrices: each is found where it is planted, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from price_fusion.data.checks import matrices
from price_fusion.data.checks.matrices import (
    matrix_facts,
    row_hashes,
    suspicions_of_coverage,
    suspicions_of_table,
)
from price_fusion.data.checks.suspicions import Suspicion
from price_fusion.data.table import EmbeddingTable
from price_fusion.parameters import CheckParameters

MakeTable = Callable[..., EmbeddingTable]

ROWS = 400
IDS = np.arange(ROWS) * 3 + 1


def vectors(width: int = 6, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(ROWS, width)).astype(np.float32)


def found(table: EmbeddingTable, **checks: float) -> dict[str, Suspicion]:
    suspicions = list(suspicions_of_table(table, CheckParameters(**checks)))
    assert len({suspicion.check for suspicion in suspicions}) == len(suspicions)
    return {suspicion.check: suspicion for suspicion in suspicions}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nothing_is_said_of_clean_embeddings(make_table: MakeTable, dtype: str) -> None:
    clean = vectors()
    clean[:9] = clean[0]  # fewer than repeated_least
    assert found(make_table(IDS, clean, structural_columns=2, dtype=dtype)) == {}


@settings(max_examples=20)
@given(zeros=st.sets(st.integers(0, ROWS - 1), max_size=30), rows_per_shard=st.sampled_from([97, 1_000]))
def test_exactly_the_rows_of_zeros_are_found(make_table: MakeTable, zeros: set[int], rows_per_shard: int) -> None:
    planted = vectors()
    planted[sorted(zeros)] = 0
    table = make_table(IDS, planted, rows_per_shard=rows_per_shard)
    suspicions = found(table)
    assert set(suspicions) == ({"zero_embedding"} if zeros else set())
    if zeros:
        assert suspicions["zero_embedding"].count == len(zeros)
        assert suspicions["zero_embedding"].examples == tuple((np.array(sorted(zeros))[:5] * 3 + 1).tolist())


@settings(max_examples=20)
@given(
    copies=st.sets(st.integers(0, ROWS - 1), min_size=2, max_size=40),
    width=st.integers(2, 9),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_exactly_the_rows_of_one_embedding_are_found(
    make_table: MakeTable, copies: set[int], width: int, dtype: str
) -> None:
    planted = vectors(width, seed=width)
    rows = sorted(copies)
    planted[rows] = planted[rows[0]]
    suspicions = found(make_table(IDS, planted, dtype=dtype, rows_per_shard=97), norm_factor=1e9)
    assert ("repeated_embedding" in suspicions) == (len(rows) >= 10)
    if len(rows) >= 10:
        assert suspicions["repeated_embedding"].count == len(rows)
        assert suspicions["repeated_embedding"].examples == tuple((np.array(rows)[:5] * 3 + 1).tolist())


def test_rows_of_one_hash_are_compared_byte_for_byte(make_table: MakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "row_hashes", lambda block: np.zeros(len(block), np.uint64))
    planted = vectors()
    assert "repeated_embedding" not in found(make_table(IDS, planted))
    planted[:20] = planted[0]
    assert found(make_table(IDS, planted))["repeated_embedding"].count == 20


def test_several_repeated_embeddings_are_one_suspicion(make_table: MakeTable) -> None:
    planted = vectors()
    planted[:12], planted[100:130] = planted[0], planted[100]
    suspicion = found(make_table(IDS, planted))["repeated_embedding"]
    assert (suspicion.count, suspicion.examples[0]) == (42, 301)
    assert "one and the same embedding and 1 further one(s): 42 of 400 rows" in str(suspicion)


@pytest.mark.parametrize("factor", [20.0, 0.05])
def test_rows_of_another_scale_are_found(make_table: MakeTable, factor: float) -> None:
    planted = vectors(64)
    planted[[7, 300]] *= factor
    suspicion = found(make_table(IDS, planted))["odd_norm"]
    assert (suspicion.count, suspicion.examples) == (2, (22, 901))
    assert found(make_table(IDS, planted), norm_factor=100) == {}


def test_norms_do_not_overflow(make_table: MakeTable) -> None:
    planted = vectors() * np.float32(1e30)
    assert found(make_table(IDS, planted, dtype="float32"), norm_factor=1e6) == {}
    tiny = vectors() * np.float32(1e-30)
    assert found(make_table(IDS, tiny, dtype="float32"), norm_factor=1e6) == {}


def test_constant_columns_are_found_structural_ones_too(make_table: MakeTable) -> None:
    planted = vectors()
    planted[:, [1, 5]] = 0.5
    suspicion = found(make_table(IDS, planted, structural_columns=2))["constant_column"]
    assert (suspicion.count, suspicion.of, suspicion.examples) == (2, 6, (1, 5))
    assert "(columns 1, 5)" in str(suspicion)


def test_one_product_has_no_constant_columns(make_table: MakeTable) -> None:
    assert found(make_table([5], vectors()[:1])) == {}


def test_a_source_that_lacks_most_products_is_found(make_table: MakeTable) -> None:
    table = make_table(IDS[:100], vectors()[:100])
    checks = CheckParameters()
    (suspicion,) = suspicions_of_coverage(table, IDS, checks, "train_products")
    assert (suspicion.check, suspicion.count, suspicion.of) == ("missing_products", 300, 400)
    assert suspicion.examples == tuple(IDS[100:105].tolist())
    assert "no embeddings of many train_products: 300 of 400 products" in str(suspicion)
    assert list(suspicions_of_coverage(table, IDS[:200], checks, "train_products")) == []
    assert list(suspicions_of_coverage(table, IDS, CheckParameters(missing_share=0.75), "train_products")) == []


@given(width=st.integers(1, 11), dtype=st.sampled_from(["float16", "float32"]), seed=st.integers(0, 9))
def test_hashes_depend_on_the_row_and_not_on_its_place(width: int, dtype: str, seed: int) -> None:
    block = np.random.default_rng(seed).normal(size=(50, width)).astype(dtype)
    together = row_hashes(block)
    apart = np.concatenate([row_hashes(block[row : row + 1]) for row in range(50)])
    np.testing.assert_array_equal(together, apart)
    assert len(np.unique(together)) == len(np.unique(block, axis=0))


def test_facts_are_those_of_the_whole_matrix() -> None:
    whole = vectors(8)
    facts = matrix_facts([whole[:150], whole[150:]])
    np.testing.assert_allclose(facts.norms, np.linalg.norm(whole.astype(np.float64), axis=1))
    assert not facts.constant.any()
