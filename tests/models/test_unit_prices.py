"""Unit prices follow from the price and the amount in the catalog text, and are missing where it is unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from price_fusion import Predictor
from price_fusion.data.columns import completed, draft_columns
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.evaluation.evaluated import evaluated_products
from price_fusion.metrics.intervals import Calibration
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.unit_prices import unit_price_columns
from price_fusion.parameters import ColumnSourceParameters
from support.aligned import aligned

DECLARED = ColumnSourceParameters(kind="columns", group="quantity", parse="quantity")
TEXTS = (
    "Item Name: Rye Flour\nValue: 1.25\nUnit: Kilogram",
    "Item Name: Orange Juice\nValue: 330\nUnit: ml",
    "Item Name: Paper Plates, Pack of 40",
    "Item Name: A gift of unknown size",
)
UNITS = pd.Series(["100 g", "100 ml", "piece", None], dtype="str")
COUNTS = np.array([12.5, 3.3, 40.0, np.nan])


@pytest.fixture(scope="module")
def products() -> pd.DataFrame:
    return pd.DataFrame({"sample_id": np.arange(4), "catalog_content": TEXTS})


@pytest.fixture(scope="module")
def predictor(make_checkpoint: Callable[..., Checkpoint], products: pd.DataFrame) -> Predictor:
    plain = make_checkpoint()
    sources = plain.header.sources | {"quantity": completed(products, DECLARED, "products")}
    residuals = np.random.default_rng(3).normal(0, 0.4, 60)
    calibration = Calibration(np.linspace(1, 4, 60), residuals)
    return Predictor(replace(make_checkpoint("concat", sources=sources), calibration=calibration))


def test_a_unit_price_is_the_price_of_what_the_text_says(predictor: Predictor, products: pd.DataFrame) -> None:
    words = np.abs(np.random.default_rng(2).normal(size=(4, 9)))
    found = predictor.predict_intervals({"words": words}, products)
    assert list(found)[-2:] == ["unit_price", "unit"] == list(unit_price_columns(predictor.model.sources))
    np.testing.assert_allclose(found["unit_price"], found["price"] / COUNTS, rtol=1e-6)
    pd.testing.assert_series_equal(found["unit"], UNITS, check_names=False)


def test_amounts_that_are_not_given_are_unknown(predictor: Predictor) -> None:
    found = predictor.predict_intervals({"words": np.ones((2, 9))})
    assert found[["unit_price", "unit"]].isna().all(axis=None)
    # Parts of a table are joined by their types: one without any unit must not have another.
    assert pa.Table.from_pandas(found).schema.field("unit").type in (pa.string(), pa.large_string())
    assert list(predictor.predict_intervals({"words": np.ones((0, 9))}))[-2:] == ["unit_price", "unit"]


def test_samples_in_any_order_and_kinds_in_any_vocabulary(
    predictor: Predictor, products: pd.DataFrame, make_table: Callable[..., EmbeddingTable], tmp_path: Path
) -> None:
    fewer = products.iloc[[2, 0]]  # no volume, so other codes than the model's
    write_table(tmp_path, "quantity", draft_columns(fewer, DECLARED, "test.csv"))
    tables = {
        "picture": make_table([1], np.ones((1, 5), np.float32), source="picture"),
        "words": make_table([1], np.ones((1, 9), np.float32), structural_columns=3),
        "quantity": EmbeddingTable(tmp_path),
    }
    samples, tables = aligned(pd.DataFrame(index=[5, 3, 8]), tables, picture=0, words=-1, quantity=[1, -1, 0])
    found = predictor.price_samples(samples, tables, (0.8,))
    np.testing.assert_allclose(found["unit_price"], found["price"] / [12.5, np.nan, 40], rtol=1e-6)
    assert found["unit"].fillna("").tolist() == ["100 g", "", "piece"]


def test_evaluated_products_have_both_unit_prices() -> None:
    given = pd.DataFrame({"price": [10.0, 3.0], "price_low": [8.0, 2.0], "unit_price": [2.5, np.nan]})
    given["unit"] = pd.Series(["100 g", None], dtype="str")
    products = pd.DataFrame({"sample_id": [7, 9], "price": [30.0, 4.0], "tuned_on": False})
    found = evaluated_products(products, "holdout", given)
    assert list(found)[-4:] == ["price_low", "unit", "unit_price", "predicted_unit_price"]
    assert found.loc[0, ["unit", "unit_price", "predicted_unit_price"]].tolist() == ["100 g", 7.5, 2.5]
    assert found.loc[1, ["unit", "unit_price", "predicted_unit_price"]].isna().all()
