"""Dealing groups: whole ones, each part its share of each price range."""

from __future__ import annotations

from fractions import Fraction
from hashlib import md5

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.groups.dealing import deal, groups_of


def deal_groups(
    groups: np.ndarray, prices: np.ndarray, fractions: tuple[float, ...], quantiles: int, seed: int
) -> np.ndarray:
    """The part of each product; ids are 0, 1, ..."""
    found, group_of = groups_of(np.arange(len(groups)), groups, prices)
    return deal(found, fractions, quantiles=quantiles, draw=f"test {seed}", fill=True)[group_of]


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
    part = deal_groups(groups, prices, fractions, quantiles, seed)
    assert part.shape == (rows,)
    for group in np.unique(groups):
        assert len(np.unique(part[groups == group])) == 1
    largest = np.unique(groups, return_counts=True)[1].max()
    for number, fraction in enumerate(fractions):
        assert abs((part == number).sum() - fraction * rows) <= 2 * largest * quantiles
    again = deal_groups(groups, prices, fractions, quantiles, seed)
    np.testing.assert_array_equal(part, again)


@given(rows=st.integers(10, 120), seed=st.integers(0, 1_000))
def test_of_few_rows_the_smallest_part_gets_its_share(rows: int, seed: int) -> None:
    prices = np.random.default_rng(seed).lognormal(2.7, 1.0, rows)
    part = deal_groups(np.arange(rows), prices, (0.9, 0.1), 10, seed)
    assert 1 <= (part == 1).sum() <= rows / 10 + 10


def test_each_price_range_is_dealt_alike() -> None:
    prices = np.random.default_rng(0).permutation(np.arange(1.0, 1_001.0))
    part = deal_groups(np.arange(1_000), prices, (0.7, 0.3), 10, 1)
    for low in range(0, 1_000, 100):
        inside = (prices > low) & (prices <= low + 100)
        assert abs((part[inside] == 1).sum() - 30) <= 2


@given(sizes=st.lists(st.integers(1, 10), min_size=2, max_size=30), seed=st.integers(0, 99), stops=st.floats(0.05, 0.5))
def test_no_part_is_empty_by_chance(sizes: list[int], seed: int, stops: float) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    prices = np.random.default_rng(seed).lognormal(size=len(groups))
    parts = deal_groups(groups, prices, (1 - stops, stops), 10, seed)
    assert set(parts) == {0, 1}
    assert all(len(set(parts[groups == group])) == 1 for group in groups)


def by_hand(ids: list[int], groups: list[int], prices: list[float], fractions: list[Fraction], draw: str) -> list[int]:
    """The parts of products as the module says them, a group at a time, in whole numbers and fractions; two strata."""

    def digest(text: str) -> bytes:
        return md5(text.encode()).digest()  # noqa: S324

    def mixed(value: int) -> int:
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    first: dict[int, int] = {}
    for row in sorted(range(len(ids)), key=lambda row: digest(str(ids[row]))):
        first.setdefault(groups[row], row)
    key = int.from_bytes(digest(draw)[:8], "big")
    names = {group: digest(str(ids[row])) for group, row in first.items()}
    part_of: dict[int, int] = {}
    for stratum in (0, 1):
        members = [
            group
            for group, row in first.items()
            if sum(prices[other] < prices[row] for other in first.values()) * 2 // len(first) == stratum
        ]
        members.sort(key=lambda group: (mixed(int.from_bytes(names[group][8:], "big") ^ key), names[group]))
        total, start = sum(groups.count(group) for group in members), 0
        offset = Fraction(int.from_bytes(digest(f"{draw}, stratum {stratum}")[:4], "big"), 2**32)
        for group in members:
            point = (start + groups.count(group) * offset) / total
            part_of[group] = sum(point >= sum(fractions[: edge + 1]) for edge in range(len(fractions) - 1))
            start += groups.count(group)
    return [part_of[group] for group in groups]


@given(count=st.integers(10, 60), seed=st.integers(0, 1_000))
def test_the_parts_are_those_of_the_rule(count: int, seed: int) -> None:
    made = np.random.default_rng(seed)
    ids = made.permutation(10 * count)[:count]
    labels, prices = made.integers(0, count // 2, count), made.integers(1, 30, count).astype(np.float64)
    fractions = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
    groups, group_of = groups_of(ids, labels, prices)
    if len(groups) < 8:  # a quarter of fewer are less than two groups, one a stratum
        return
    found = deal(groups, [*map(float, fractions)], quantiles=2, draw=f"rule {seed}")[group_of]
    assert found.tolist() == by_hand(ids.tolist(), labels.tolist(), prices.tolist(), fractions, f"rule {seed}")


@given(rows=st.integers(40, 300), seed=st.integers(0, 1_000))
def test_neither_the_order_of_rows_nor_names_of_groups_matter(rows: int, seed: int) -> None:
    made = np.random.default_rng(seed)
    ids, labels = made.permutation(10 * rows)[:rows], made.integers(0, rows // 2, rows)
    prices = made.lognormal(2.7, 1.0, rows).round(0) + 1
    shuffled = made.permutation(rows)
    renamed = made.permutation(rows)[labels]
    parts = []
    for order, names in ((np.arange(rows), labels), (shuffled, renamed)):
        groups, group_of = groups_of(ids[order], names[order], prices[order])
        part = deal(groups, (0.8, 0.1, 0.1), quantiles=10, draw=f"split, seed {seed}")[group_of]
        parts.append(dict(zip(ids[order].tolist(), part.tolist(), strict=True)))
    assert parts[0] == parts[1]


@given(rows=st.integers(100, 400), seed=st.integers(0, 1_000))
def test_each_stratum_of_single_products_is_dealt_to_the_row(rows: int, seed: int) -> None:
    prices = np.random.default_rng(seed).permutation(np.arange(1.0, rows + 1))
    part = deal_groups(np.arange(rows), prices, (0.7, 0.1, 0.2), 5, seed)
    strata = (prices.astype(int) - 1) * 5 // rows
    for stratum in range(5):
        inside = part[strata == stratum]
        for number, fraction in enumerate((0.7, 0.1, 0.2)):
            assert abs((inside == number).sum() - fraction * len(inside)) < 1 + 1e-6


def test_draws_for_two_ends_have_nothing_to_do_with_each_other() -> None:
    groups, _ = groups_of(np.arange(20_000), np.arange(20_000), np.ones(20_000))
    one, other = (deal(groups, (0.5, 0.5), quantiles=10, draw=draw) for draw in ("split, seed 1", "folds, seed 1"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03  # four standard deviations
