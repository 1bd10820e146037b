"""The canonical order and its partitions: the same whoever computes them, and even."""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.order import canonical_order, key_sql, partition_sql, partitions_of

NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def digits(identifier: object) -> str:
    return hashlib.md5(str(identifier).encode()).hexdigest()  # noqa: S324


@given(ids=st.lists(NUMBERS | TEXTS, min_size=1, unique_by=str), partitions=st.integers(1, 5_000))
def test_order_and_partitions_are_as_documented(ids: list[int | str], partitions: int) -> None:
    texts = np.array([*map(str, ids)])
    wanted = sorted(range(len(ids)), key=lambda row: digits(texts[row]))
    assert canonical_order(texts).tolist() == wanted
    assert partitions_of(texts, partitions).tolist() == [int(digits(text)[:8], 16) * partitions >> 32 for text in texts]


@given(ids=st.lists(NUMBERS, min_size=1))
def test_a_number_and_its_text_are_one_product(ids: list[int]) -> None:
    texts, numbers = np.array([*map(str, ids)]), np.array(ids, np.int64)
    np.testing.assert_array_equal(partitions_of(numbers, 64), partitions_of(texts, 64))
    np.testing.assert_array_equal(canonical_order(numbers), canonical_order(texts))


@given(ids=st.lists(NUMBERS, min_size=1, unique=True), partitions=st.integers(1, 5_000))
def test_partitions_are_ranges_of_the_order(ids: list[int], partitions: int) -> None:
    array = np.array(ids, np.int64)
    assert (np.diff(partitions_of(array, partitions)[canonical_order(array)]) >= 0).all()


@pytest.mark.parametrize("kind", [np.int64, np.str_])
def test_duckdb_says_the_same(kind: type) -> None:
    ids = np.concatenate([np.arange(-50, 950), [2**63 - 1, -(2**63)]]).astype(kind)
    asked = pa.table({"id": pa.array(ids), "place": np.arange(len(ids))})  # noqa: F841 - DuckDB reads it by its name
    for partitions in (1, 7, 4_096):
        rows = duckdb.sql(f"SELECT {partition_sql('id', partitions)} AS part FROM asked ORDER BY place").fetchnumpy()  # noqa: S608
        np.testing.assert_array_equal(rows["part"], partitions_of(ids, partitions))
    rows = duckdb.sql(f"SELECT place FROM asked ORDER BY {key_sql('id')}").fetchnumpy()  # noqa: S608
    np.testing.assert_array_equal(rows["place"], canonical_order(ids))


def test_no_ids_have_no_partitions() -> None:
    none = np.empty(0, np.int64)
    assert partitions_of(none, 4).dtype == np.int32
    assert len(partitions_of(none, 4)) == len(canonical_order(none)) == 0


def test_sql_keeps_missing_ids_missing() -> None:
    query = f"SELECT {partition_sql('id', 7)} FROM (SELECT NULL::BIGINT AS id)"  # noqa: S608
    assert duckdb.sql(query).fetchall() == [(None,)]


@pytest.mark.parametrize("partitions", [2, 64, 1_000])
def test_ids_in_sequence_are_spread_evenly(partitions: int) -> None:
    counts = np.bincount(partitions_of(np.arange(100 * partitions), partitions), minlength=partitions)
    # 100 on average, with a standard deviation of 10.
    assert counts.min() > 50
    assert counts.max() < 150
