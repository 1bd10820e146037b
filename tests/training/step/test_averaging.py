"""The average of weights is the even mean of a short training, and a moving average of a long one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.training.step.averaging import newest_share


def averaged(weights: list[float], decay: float, *, ramp: bool) -> float:
    """As a training averages them, one step at a time."""
    average = torch.tensor(1e6)  # the random start: nothing of it may be left
    for step, weight in enumerate(weights, start=1):
        average.lerp_(torch.tensor(weight), newest_share(torch.tensor(step), decay, ramp=ramp))
    return float(average)


@given(weights=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40), decay=st.floats(0.98, 0.9999))
def test_until_the_window_is_full_all_steps_count_alike(weights: list[float], decay: float) -> None:
    assert averaged(weights, decay, ramp=True) == pytest.approx(np.mean(weights), abs=1e-4)


@given(weights=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40), decay=st.floats(0, 0.9))
def test_beyond_the_window_steps_fade_by_the_decay(weights: list[float], decay: float) -> None:
    full = min(len(weights), int(1 / (1 - decay)))
    expected = float(np.mean(weights[:full]))
    for weight in weights[full:]:
        expected = decay * expected + (1 - decay) * weight
    assert averaged(weights, decay, ramp=True) == pytest.approx(expected, abs=1e-4)


def test_without_a_ramp_a_short_training_keeps_its_first_step() -> None:
    assert averaged([0.0] + [1.0] * 40, 0.995, ramp=False) == pytest.approx(1 - 0.995**40, abs=1e-6)
    assert averaged([0.0] + [1.0] * 40, 0.995, ramp=True) == pytest.approx(40 / 41, abs=1e-6)
