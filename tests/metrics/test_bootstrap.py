"""Bootstrap: intervals hold the truth as often as they say, and pairs are compared product by product."""

from __future__ import annotations

import numpy as np
import pytest

from price_fusion.metrics.bootstrap import bootstrap_means, difference, mean_interval, paired_difference


def test_intervals_hold_the_mean_of_a_known_distribution_about_95_times_in_100() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for seed in range(400):
        low, high = mean_interval(generator.exponential(5.0, size=120), resamples=400, seed=seed)
        held += low <= 5.0 <= high
    assert 0.91 <= held / 400 <= 0.98


def test_intervals_of_grouped_products_hold_the_mean_only_if_groups_are_drawn_whole() -> None:
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(100), 5)
    whole, single = 0, 0
    for seed in range(300):
        values = generator.normal(50, 10, size=100).repeat(5)
        low, high = mean_interval(values, groups, resamples=400, seed=seed)
        whole += low <= 50 <= high
        low, high = mean_interval(values, resamples=400, seed=seed)
        single += low <= 50 <= high
    assert 0.90 <= whole / 300 <= 0.98
    assert single / 300 < 0.75


def test_the_spread_of_resampled_means_is_the_standard_error() -> None:
    values = np.random.default_rng(5).normal(50, 8, size=2_000)
    means = bootstrap_means(values[:, None], resamples=3_000, seed=1)
    assert means.std() == pytest.approx(values.std() / np.sqrt(2_000), rel=0.05)
    assert means.mean() == pytest.approx(values.mean(), abs=0.02)


def test_groups_of_one_are_single_products() -> None:
    values = np.random.default_rng(6).normal(size=(40, 2))
    np.testing.assert_allclose(
        bootstrap_means(values, np.arange(40), resamples=200, seed=2), bootstrap_means(values, resamples=200, seed=2)
    )


def test_labels_of_groups_may_be_texts_in_any_order() -> None:
    values = np.array([1.0, 2.0, 3.0, 10.0])[:, None]
    means = bootstrap_means(values, ["b", "a", "b", "c"], resamples=500, seed=0)
    assert means.min() == 2.0  # the mean of either group of a and b alone
    assert means.max() == 10.0


def test_blocks_give_the_same_as_one_block() -> None:
    values = np.random.default_rng(7).normal(size=(101, 3))
    whole = bootstrap_means(values, resamples=250, seed=9, block_draws=10**9)
    for block_draws in (1, 101 * 7, 101 * 100):
        pieces = bootstrap_means(values, resamples=250, seed=9, block_draws=block_draws)
        np.testing.assert_allclose(pieces, whole, rtol=1e-12, atol=1e-12)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(8).normal(size=50)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_identical_models_do_not_differ() -> None:
    values = np.random.default_rng(9).uniform(0, 200, size=60)
    assert paired_difference(values, values) == (0.0, 0.0, 0.0, 1.0)


def test_differences_are_symmetric() -> None:
    generator = np.random.default_rng(10)
    first, second = generator.uniform(0, 200, size=(2, 80))
    one, other = paired_difference(first, second, seed=4), paired_difference(second, first, seed=4)
    assert one.mean == -other.mean
    assert one.low == pytest.approx(-other.high)
    assert one.high == pytest.approx(-other.low)
    assert one.reversed == other.reversed


def test_pairs_are_told_apart_where_the_models_alone_are_not() -> None:
    hardness = np.random.default_rng(11).uniform(0, 150, size=300)
    worse = paired_difference(hardness + 2, hardness + np.tile([0.0, 1.0], 150))
    assert worse.mean == pytest.approx(1.5)
    assert 1.4 < worse.low < 1.5 < worse.high < 1.6
    assert worse.reversed == 0.0
    assert mean_interval(hardness).low < hardness.mean() + 2 < mean_interval(hardness).high + 2


def test_share_of_resamples_with_the_sign_reversed() -> None:
    assert difference(1.0, np.array([2.0, 1.0, 0.0, -1.0])).reversed == 0.5
    assert difference(-1.0, np.array([-2.0, -1.0, -3.0, 1.0])).reversed == 0.25
