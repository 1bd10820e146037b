"""Choosing among settings."""

from __future__ import annotations

import numpy as np
import pytest

from price_fusion.models.estimators.choice import chosen

USUAL = np.array([30.0, 50.0, 40.0, 60.0])


@pytest.mark.parametrize(
    ("gain", "setting"),
    [
        ([4, 5, 6, 5], "other"),  # 5 +- 0.4
        ([-20, 30, -10, 20], "usual"),  # 5 +- 12
        ([0, 0, 0, 0], "usual"),
        ([-1, -1, -1, -2], "usual"),
    ],
)
def test_the_usual_setting_is_left_only_for_a_clear_gain(gain: list[float], setting: str) -> None:
    assert chosen({"usual": USUAL, "worse": USUAL + 9, "other": USUAL - np.array(gain)}, "usual") == setting


def test_one_stop_row_chooses_nothing() -> None:
    assert chosen({"usual": USUAL[:1], "other": USUAL[:1] - 5}, "usual") == "usual"
