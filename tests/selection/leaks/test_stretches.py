"""Stretches that stand out, and chance that does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from price_fusion.selection.leaks.stretches import best_stretch


@settings(max_examples=15)
@given(first=st.integers(0, 14), blocks=st.integers(2, 6), seed=st.integers(0, 99))
def test_a_raised_stretch_of_blocks_is_found_where_it_is(first: int, blocks: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=1_000)
    values[50 * first : 50 * (first + blocks)] += 5
    found = best_stretch(values, significance=0.2, seed=0)
    assert (found.start, found.stop) == (50 * first, 50 * (first + blocks))
    assert found.p_value < 0.005


def test_p_values_of_chance_are_uniform() -> None:
    values = np.random.default_rng(3).normal(size=(400, 200))
    p_values = np.array(
        [best_stretch(row, significance=0.05, seed=number).p_value for number, row in enumerate(values)]
    )
    for level in (0.1, 0.5):
        # Four standard errors.
        assert np.mean(p_values <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 400))


def test_a_lowered_stretch_is_none() -> None:
    values = np.random.default_rng(4).normal(size=1_000)
    values[400:500] -= 5
    found = best_stretch(values, significance=0.05, seed=0)
    assert found.stop <= 400 or found.start >= 500
