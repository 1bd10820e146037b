"""Robust scaling: the statistics of numpy, and numbers out of whatever numbers come in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from price_fusion.models.layers.scaling import RobustScale

ANY = st.floats(width=32, allow_nan=True, allow_infinity=False)


@given(arrays(np.float32, (9, 3), elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))))
def test_statistics_are_those_of_numpy(values: NDArray[np.float32]) -> None:
    scale = RobustScale(3)
    scale.fit(torch.from_numpy(values))
    for column, numbers in enumerate(values.astype(np.float64).T):
        known = numbers[~np.isnan(numbers)]
        low, middle, high = np.nanpercentile(known, [25, 50, 75]) if len(known) else (0.0, 0.0, 0.0)
        spread = (high - low) or (known.std() if len(known) else 0.0) or 1.0
        assert float(scale.center[column]) == pytest.approx(middle, rel=1e-6, abs=1e-6)
        assert float(scale.spread[column]) == pytest.approx(spread, rel=1e-5, abs=1e-30)


def test_scaled_values_are_squashed_by_hand() -> None:
    scale = RobustScale(2)
    scale.fit(torch.tensor([[1.0, 7.0], [2.0, 7.0], [3.0, float("nan")], [4.0, 7.0], [5.0, 7.0]]))
    # Median 3, quartiles 2 and 4; the other column is constant: its spread is taken for 1.
    scaled = scale(torch.tensor([[3.0, 7.0], [7.0, 8.0], [-1.0, 6.0]]))
    logarithm = [float(np.log1p(number)) for number in (0, 1, 2)]
    assert scaled[:, 0].tolist() == pytest.approx([0.0, logarithm[2], -logarithm[2]])
    assert scaled[:, 1].tolist() == pytest.approx([0.0, logarithm[1], -logarithm[1]])


def test_a_number_that_is_missing_stays_so_and_a_column_of_none_is_neutral() -> None:
    scale = RobustScale(2)
    scale.fit(torch.tensor([[float("nan"), 1.0], [float("nan"), 3.0]]))
    assert (float(scale.center[0]), float(scale.spread[0])) == (0.0, 1.0)
    scaled = scale(torch.tensor([[1.0, float("nan")]]))
    assert float(scaled[0, 0]) == pytest.approx(np.log(2))
    assert bool(scaled[0, 1].isnan())


@given(fitted=arrays(np.float32, (5, 1), elements=ANY), seen=arrays(np.float32, (7, 1), elements=ANY))
def test_numbers_stay_numbers_and_in_order(fitted: NDArray[np.float32], seen: NDArray[np.float32]) -> None:
    scale = RobustScale(1)
    scale.fit(torch.from_numpy(fitted))
    scaled = scale(torch.from_numpy(seen)).numpy()
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(seen))
    assert not np.isinf(scaled).any()
    known = np.sort(seen[~np.isnan(seen)])
    assert (np.diff(scale(torch.from_numpy(known[:, None])).numpy()[:, 0]) >= 0).all()


def test_a_number_that_overflows_by_a_small_spread_is_still_finite() -> None:
    scale = RobustScale(1)
    scale.fit(torch.linspace(0, 0.01, 9)[:, None])
    assert torch.isfinite(scale(torch.tensor([[3e38], [-3e38]]))).all()


def test_statistics_of_float32_columns_do_not_lose_small_differences() -> None:
    scale = RobustScale(1)
    scale.fit(torch.tensor([[16_777_214.0], [16_777_215.0], [16_777_216.0]]))
    assert float(scale.spread) == 1.0
