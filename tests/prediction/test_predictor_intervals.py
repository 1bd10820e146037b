"""Intervals by a predictor: around each price, alone or in company, of a checkpoint or an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from price_fusion import Predictor
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import DataError, ParameterError
from price_fusion.metrics.intervals import Calibration
from price_fusion.metrics.price_scale import BEFORE
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import ColumnSourceParameters

MakeCheckpoint = Callable[..., Checkpoint]
Arrays = dict[str, NDArray[np.floating[Any]]]
COLUMNS = ["price", "price_low", "price_high", "price_low_90", "price_high_90"]


def calibration(rows: int = 60) -> Calibration:
    generator = np.random.default_rng(1)
    return Calibration(generator.normal(2.7, 0.5, rows), generator.normal(0.1, 0.4, rows))


@pytest.fixture(scope="module")
def predictor(make_checkpoint: MakeCheckpoint) -> Predictor:
    return Predictor(replace(make_checkpoint(), calibration=calibration()))


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    generator = np.random.default_rng(2)
    return {"picture": generator.normal(size=(20, 5)), "words": np.abs(generator.normal(size=(20, 9)))}


def test_prices_are_those_without_intervals_and_lie_inside(predictor: Predictor, arrays: Arrays) -> None:
    table = predictor.predict_intervals(arrays)
    assert list(table) == COLUMNS
    np.testing.assert_array_equal(table["price"], predictor.predict(arrays))
    assert (
        table[["price_low_90", "price_low", "price", "price_high", "price_high_90"]].diff(axis=1).iloc[:, 1:] >= 0
    ).all(axis=None)
    assert (table["price_low"] < table["price_high"]).all()


@pytest.mark.parametrize("levels", [0.8, np.float32(0.75), np.array([0.9, 0.8])])
def test_levels_are_one_or_several(predictor: Predictor, arrays: Arrays, levels: Any) -> None:
    several = tuple(np.atleast_1d(levels).tolist())
    pd.testing.assert_frame_equal(
        predictor.predict_intervals(arrays, levels=levels), predictor.predict_intervals(arrays, levels=several)
    )


@pytest.mark.parametrize("levels", [None, "high", {0.8}, (0.8, "x")])
def test_levels_that_are_no_numbers_are_shown(predictor: Predictor, arrays: Arrays, levels: Any) -> None:
    with pytest.raises(ParameterError, match=r"levels: found .*, expected one or several fractions between 0 and 1"):
        predictor.predict_intervals(arrays, levels=levels)


def test_the_first_level_has_the_plain_names(predictor: Predictor, arrays: Arrays) -> None:
    other = predictor.predict_intervals(arrays, levels=(0.9, 0.8))
    assert list(other) == ["price", "price_low", "price_high", "price_low_80", "price_high_80"]
    first = predictor.predict_intervals(arrays)
    np.testing.assert_array_equal(other["price_low"], first["price_low_90"])
    np.testing.assert_array_equal(other["price_high_80"], first["price_high"])


@pytest.mark.parametrize("size", [1, 7])
def test_an_interval_is_the_same_alone_and_in_any_batch(predictor: Predictor, arrays: Arrays, size: int) -> None:
    parts = [
        predictor.predict_intervals({name: array[start : start + size] for name, array in arrays.items()})
        for start in range(0, 20, size)
    ]
    together = predictor.predict_intervals(arrays)
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), together, rtol=1e-4)


@given(
    level=st.floats(0.001, 0.95),
    value=st.floats(-1e30, 1e30),
    median=st.floats(0.01, 1e6),
    bias=st.floats(-5, 5),
    seed=st.integers(0, 100),
)
def test_a_price_is_always_inside(
    make_checkpoint: MakeCheckpoint, level: float, value: float, median: float, bias: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    residuals = Calibration(generator.normal(2.7, 1.0, 50), generator.normal(bias, 0.5, 50))
    predictor = Predictor(replace(make_checkpoint("concat", median_price=median), calibration=residuals))
    words = np.abs(generator.normal(size=(4, 9)))
    words[1, 3] = value
    found = predictor.predict_intervals({"words": words}, levels=(level,))
    assert np.isfinite(found.to_numpy()).all()
    assert ((found["price_low"] <= found["price"]) & (found["price"] <= found["price_high"])).all()
    assert (found["price_low"] >= BEFORE.lowest).all()
    assert (found["price_high"] <= BEFORE.highest).all()


def samples_of(
    arrays: Arrays, make_table: Callable[..., EmbeddingTable]
) -> tuple[pd.DataFrame, dict[str, EmbeddingTable]]:
    tables = {
        "picture": make_table(range(20), arrays["picture"].astype(np.float32), source="picture"),
        "words": make_table(range(20), arrays["words"].astype(np.float32), structural_columns=3),
    }
    return pd.DataFrame({"sample_id": np.arange(20)}), tables


def test_samples_are_priced_like_arrays(
    predictor: Predictor, arrays: Arrays, make_table: Callable[..., EmbeddingTable]
) -> None:
    samples, tables = samples_of(arrays, make_table)
    found = predictor.price_samples(samples, tables, (0.8, 0.9))
    pd.testing.assert_frame_equal(found, predictor.predict_intervals(arrays), rtol=1e-5)
    np.testing.assert_array_equal(found["price"], predictor.predict_samples(samples, tables))


@pytest.mark.parametrize("level", [0.02, 0.8])
def test_a_product_that_no_source_knows_gets_the_range_of_all_prices(
    predictor: Predictor, arrays: Arrays, make_table: Callable[..., EmbeddingTable], level: float
) -> None:
    samples, tables = samples_of(arrays, make_table)
    samples.loc[3] = -1
    found = predictor.price_samples(samples, tables, (level,)).loc[3]
    true = np.expm1(calibration().log_prices + calibration().residuals)
    low, high = np.quantile(true, [0.5 - level / 2, 0.5 + level / 2])
    assert found["price"] == 14.25
    assert found["price_low"] == pytest.approx(min(low, 14.25))
    assert found["price_high"] == pytest.approx(max(high, 14.25))


def test_without_a_calibration_samples_get_prices_alone_and_intervals_are_refused(
    make_checkpoint: MakeCheckpoint, arrays: Arrays, make_table: Callable[..., EmbeddingTable]
) -> None:
    predictor = Predictor(make_checkpoint())
    assert list(predictor.price_samples(*samples_of(arrays, make_table), (0.8,))) == ["price"]
    with pytest.raises(DataError, match=r"tiny has no calibration.*splitting\.proportions"):
        predictor.predict_intervals(arrays)


def test_levels_that_cannot_be_had_are_refused(predictor: Predictor, arrays: Arrays) -> None:
    with pytest.raises(DataError, match=r"level 0\.99: 60 calibration rows, expected at least 199"):
        predictor.predict_intervals(arrays, levels=(0.8, 0.99))
    with pytest.raises(ParameterError, match=r"Write 80 % as 0\.8"):
        predictor.predict_intervals(arrays, levels=(80,))


def test_no_products_have_no_intervals(predictor: Predictor) -> None:
    found = predictor.predict_intervals({"words": np.empty((0, 9))})
    assert list(found) == COLUMNS
    assert found.empty


def test_intervals_of_products_read_from_their_columns(make_checkpoint: MakeCheckpoint, arrays: Arrays) -> None:
    facts = ColumnSourceParameters(kind="columns", group="facts", numeric=("weight",))
    sources = make_checkpoint().header.sources | {"facts": facts}
    predictor = Predictor(replace(make_checkpoint("concat", sources=sources), calibration=calibration()))
    products = pd.DataFrame({"weight": ["2", "", "3.5", "800"]})
    four = {name: array[:4] for name, array in arrays.items()}
    found = predictor.predict_intervals(four, products)
    np.testing.assert_array_equal(found["price"], predictor.predict(four, products))
    pd.testing.assert_frame_equal(
        found, predictor.predict_intervals(four | {"facts": np.array([[2], [np.nan], [3.5], [800]])})
    )
