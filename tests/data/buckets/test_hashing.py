"""Buckets of ids: the same whoever computes them, and even."""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.buckets.hashing import bucket_sql, buckets_of

NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def by_hand(identifier: object, buckets: int) -> int:
    return int.from_bytes(hashlib.md5(str(identifier).encode()).digest()[8:], "little") % buckets  # noqa: S324


@given(ids=st.lists(NUMBERS, min_size=1), buckets=st.integers(1, 5_000))
def test_buckets_of_numbers_are_as_documented(ids: list[int], buckets: int) -> None:
    assert buckets_of(np.array(ids, np.int64), buckets).tolist() == [by_hand(one, buckets) for one in ids]


@given(ids=st.lists(TEXTS, min_size=1), buckets=st.integers(1, 5_000))
def test_buckets_of_texts_are_as_documented(ids: list[str], buckets: int) -> None:
    assert buckets_of(np.array(ids, np.str_), buckets).tolist() == [by_hand(one, buckets) for one in ids]


@given(ids=st.lists(NUMBERS, min_size=1))
def test_a_number_and_its_text_share_a_bucket(ids: list[int]) -> None:
    texts = np.array([str(one) for one in ids])
    np.testing.assert_array_equal(buckets_of(np.array(ids, np.int64), 64), buckets_of(texts, 64))


def test_no_ids_have_no_buckets() -> None:
    assert buckets_of(np.empty(0, np.int64), 4).dtype == np.int32
    assert len(buckets_of(np.empty(0, np.int64), 4)) == 0


def test_sql_keeps_missing_ids_missing() -> None:
    query = f"SELECT {bucket_sql('id', 7)} FROM (SELECT NULL::BIGINT AS id)"  # noqa: S608
    assert duckdb.sql(query).fetchall() == [(None,)]


@pytest.mark.parametrize("buckets", [2, 64, 1_000])
def test_ids_in_sequence_are_spread_evenly(buckets: int) -> None:
    counts = np.bincount(buckets_of(np.arange(100 * buckets), buckets), minlength=buckets)
    # 100 on average, with a standard deviation of 10.
    assert counts.min() > 50
    assert counts.max() < 150
