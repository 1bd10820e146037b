"""An evaluation of made-up products."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from price_fusion.metrics.intervals import coverage_table
from price_fusion.metrics.price_metrics import smape_per_product
from support.prices import GROUPS


@pytest.fixture
def results() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    price = np.exp(generator.normal(2.7, 1.0, size=400))
    predicted = price * np.exp(generator.normal(0.1, 0.5, size=400))
    columns = {"sample_id": np.arange(400) + 7, "split": "holdout", "tuned_on": False, "price": price}
    bounds = {"price_low": predicted / 2, "price_high": predicted * 2}
    smape = {"smape": smape_per_product(predicted, price)}
    return pd.DataFrame(columns | {"predicted": predicted} | smape | bounds)


@pytest.fixture
def coverage(results: pd.DataFrame) -> pd.DataFrame:
    bounds = results[["price_low", "price_high"]].to_numpy()[:, None, :]
    return coverage_table(results["predicted"], results["price"], bounds, [0.8], GROUPS)
