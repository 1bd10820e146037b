"""Amounts of money in shops of all currencies."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.money import money, rounded


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0.0, "0.00"),
        (24.0, "24.00"),
        (1234.5, "1,234.50"),
        (0.5, "0.500"),
        (0.00294, "0.00294"),
        (-0.0000123, "-0.0000123"),
        (99_999.994, "99,999.99"),
        (2_013_456.7, "2,013,457"),
        (math.nan, "nan"),
        (0.00000123, "0.00000123"),
        (1e-12, "1.00e-12"),
        (-3.2e-45, "-3.20e-45"),
    ],
)
def test_amounts_have_enough_digits(amount: float, text: str) -> None:
    assert money(amount) == text


def test_a_sign_may_be_shown() -> None:
    assert [money(amount, "+") for amount in (0.003, -250_000)] == ["+0.00300", "-250,000"]


@given(st.floats(min_value=1e-30, max_value=1e30), st.sampled_from([-1, 1]))
def test_what_is_shown_is_within_half_a_percent(size: float, sign: int) -> None:
    shown = float(money(sign * size).replace(",", ""))
    assert shown == pytest.approx(sign * size, rel=0.0051)
    assert rounded(sign * size) == shown
