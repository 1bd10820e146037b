"""The unit and the range of a model's prices."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.prices import HIGHEST, LOWEST
from price_fusion.metrics.price_scale import BEFORE, PriceScale, in_unit, price_unit, unit_of_split
from price_fusion.models.checkpoint import load_checkpoint, save_checkpoint
from price_fusion.prediction.predictor import Predictor

prices = st.floats(LOWEST, HIGHEST)


@given(st.lists(prices, min_size=1, max_size=9), st.floats(allow_nan=False, allow_infinity=False))
def test_train_prices_are_inside_and_any_log_price_gives_one_inside(train, log_price):
    unit = price_unit(float(np.median(train)))
    scale = PriceScale.of(train, unit)
    assert all(scale.lowest <= price <= scale.highest for price in train)
    assert scale.lowest <= float(scale.prices(log_price)) <= scale.highest
    assert scale.lowest <= float(scale.prices(scale.bounded(log_price))) <= scale.highest
    inner = min(max(max(train), LOWEST * 100), HIGHEST / 100)
    assert float(scale.prices(scale.logs(inner))) == pytest.approx(inner, rel=1e-9) or inner < 1e-9 * unit


@given(prices)
def test_the_unit_is_a_power_of_ten_near_the_median(median):
    unit = price_unit(median)
    if 1 <= median <= 1_000:
        assert unit == 1.0
    else:
        assert 3 < median / unit < 33
        assert np.log10(unit) == pytest.approx(round(np.log10(unit)))


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1.5e5])
def test_relative_precision_is_that_of_ordinary_prices(factor):
    train = np.array([0.13, 4.0, 14.0, 90.0, 2_796.0]) * factor
    scale = PriceScale.of(train, price_unit(float(np.median(train))))
    logs = scale.logs(train).astype(np.float32)
    np.testing.assert_allclose(scale.prices(logs), train, rtol=1e-5)
    assert np.diff(logs).min() > 0.5


def test_ordinary_prices_have_the_log_prices_they_had():
    train = np.array([0.5, 14.0, 900.0])
    scale = PriceScale.of(train, price_unit(14.0))
    np.testing.assert_array_equal(scale.logs(train), np.log1p(train))
    np.testing.assert_array_equal(scale.prices(np.array([0.5, 3.0])), np.expm1([0.5, 3.0]))
    assert (scale.unit, scale.lowest, scale.highest) == (1.0, 0.005, 90_000.0)


def test_units_are_converted_exactly():
    logs = np.array([0.2, 3.0])
    assert in_unit(logs, 10.0, 10.0) is logs
    np.testing.assert_allclose(np.expm1(in_unit(logs, 1e-4, 1e5)) * 1e5, np.expm1(logs) * 1e-4, rtol=1e-12)


def test_the_unit_of_a_split_leaves_held_out_prices_out():
    samples = pd.DataFrame({"price": [4e6, 5e6, 6e6, 2.0, 2.0, 2.0, 2.0]})
    split = pd.DataFrame({"split": ["train", "train", "validation", *["holdout"] * 4]})
    assert unit_of_split(samples, split) == 1e6


def test_prices_beyond_the_range_are_counted(caplog):
    scale = PriceScale.of([5_000.0, 9e7], 1e5)
    with caplog.at_level(logging.WARNING):
        scale.bounded([0.001, 3.0, 50.0, -1.0], "moe")
    assert "moe: 2 of 4 predicted prices were beyond the range" in caplog.text
    assert "50.00 to 9,000,000,000" in caplog.text
    caplog.clear()
    scale.bounded([0.1, 3.0], "moe")
    assert not caplog.text


def test_a_checkpoint_keeps_its_scale_and_one_from_before_its_constants(make_checkpoint, tmp_path):
    scale = PriceScale.of([5_000.0, 9e7], 1e5)
    checkpoint = make_checkpoint("concat")
    assert checkpoint.header.price_scale == BEFORE == PriceScale(unit=1.0, lowest=0.01, highest=1e6)
    ours = replace(checkpoint, header=checkpoint.header.model_copy(update={"price_scale": scale}))
    save_checkpoint(tmp_path / "one.safetensors", ours)
    assert load_checkpoint(tmp_path / "one.safetensors").header.price_scale == scale
    header = json.loads(checkpoint.header.model_dump_json())
    del header["price_scale"]
    assert type(checkpoint.header).model_validate(header).price_scale == BEFORE


def test_prices_follow_the_unit(make_checkpoint):
    checkpoint = make_checkpoint("concat")
    scale = PriceScale.of([1.0, 9e7], 1e5)
    ours = replace(checkpoint, header=checkpoint.header.model_copy(update={"price_scale": scale}))
    words = np.abs(np.random.default_rng(0).normal(size=(4, 9)))
    plain, scaled = (Predictor(one).predict({"words": words}) for one in (checkpoint, ours))
    np.testing.assert_allclose(scaled, plain * 1e5, rtol=1e-12)
