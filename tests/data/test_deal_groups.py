"""Dealing groups: whole ones, each part its share of each price range."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.splits import deal_groups


@given(
    rows=st.integers(1, 400),
    per_group=st.integers(1, 6),
    fractions=st.sampled_from([(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5), (1.0, 0.0), (0.0, 1.0)]),
    quantiles=st.sampled_from([1, 4, 10]),
    seed=st.integers(0, 1_000),
)
def test_groups_are_whole_and_each_part_gets_its_share(
    rows: int, per_group: int, fractions: tuple[float, ...], quantiles: int, seed: int
) -> None:
    made = np.random.default_rng(seed)
    groups, prices = made.integers(-5, rows // per_group + 1, rows), made.lognormal(2.7, 1.0, rows)
    part = deal_groups(groups, prices, fractions, quantiles, np.random.default_rng(seed))
    assert part.shape == (rows,)
    for group in np.unique(groups):
        assert len(np.unique(part[groups == group])) == 1
    largest = np.unique(groups, return_counts=True)[1].max()
    for number, fraction in enumerate(fractions):
        assert abs((part == number).sum() - fraction * rows) <= 2 * largest * quantiles
    again = deal_groups(groups, prices, fractions, quantiles, np.random.default_rng(seed))
    np.testing.assert_array_equal(part, again)


@given(rows=st.integers(10, 120), seed=st.integers(0, 1_000))
def test_of_few_rows_the_smallest_part_gets_its_share(rows: int, seed: int) -> None:
    prices = np.random.default_rng(seed).lognormal(2.7, 1.0, rows)
    part = deal_groups(np.arange(rows), prices, (0.9, 0.1), 10, np.random.default_rng(seed))
    assert 1 <= (part == 1).sum() <= rows / 10 + 10


def test_each_price_range_is_dealt_alike() -> None:
    prices = np.random.default_rng(0).permutation(np.arange(1.0, 1_001.0))
    part = deal_groups(np.arange(1_000), prices, (0.7, 0.3), 10, np.random.default_rng(1))
    for low in range(0, 1_000, 100):
        inside = (prices > low) & (prices <= low + 100)
        assert abs((part[inside] == 1).sum() - 30) <= 2


@given(sizes=st.lists(st.integers(1, 10), min_size=2, max_size=30), seed=st.integers(0, 99), stops=st.floats(0.05, 0.5))
def test_no_part_is_empty_by_chance(sizes: list[int], seed: int, stops: float) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    prices = np.random.default_rng(seed).lognormal(size=len(groups))
    parts = deal_groups(groups, prices, (1 - stops, stops), 10, np.random.default_rng(seed))
    assert set(parts) == {0, 1}
    assert all(len(set(parts[groups == group])) == 1 for group in groups)
