"""Metrics of out-of-fold predictions, worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from price_fusion.metrics.fold_metrics import fold_metrics


def test_overall_and_by_fold() -> None:
    predictions = pd.DataFrame(
        {
            "sample_id": [1, 2, 3, 4],
            "fold": [0, 1, 0, 1],
            "price": [10.0, 10.0, 30.0, 20.0],
            "predicted": [10.0, 30.0, 10.0, 20.0],
            "seed_7": [10.0, 10.0, 30.0, 20.0],
            "seed_8": [30.0, 30.0, 10.0, 60.0],
        }
    )
    overall, by_fold = fold_metrics(predictions, np.array([1, 2, 3, 4]), resamples=200, seed=1)
    assert by_fold["fold"].tolist() == [0, 1]
    assert by_fold["rows"].tolist() == [2, 2]
    assert by_fold["smape"].tolist() == pytest.approx([50, 50])  # 0 and 100, 100 and 0
    assert by_fold["mae"].tolist() == pytest.approx([10, 10])
    assert (overall["split"], overall["rows"], overall["seeds"], overall["folds"]) == ("out of fold", 4, 2, 2)
    assert overall["smape"] == pytest.approx(50)
    assert overall["smape_low"] <= 50 <= overall["smape_high"]
    assert overall["smape_single"] == pytest.approx((0 + 100) / 2)
    assert (overall["smape_fold_mean"], overall["smape_fold_deviation"]) == (pytest.approx(50), 0)
    assert overall["rmse"] == pytest.approx(np.sqrt(200))


def test_rows_of_a_group_are_resampled_together() -> None:
    generator = np.random.default_rng(1)
    price = generator.lognormal(3, 1, 200)
    # Groups of ten that are all right or all wrong: ten times fewer independent rows.
    wrong = np.repeat(generator.random(20) < 0.5, 10)
    predictions = pd.DataFrame(
        {"fold": np.arange(200) % 2, "price": price, "predicted": np.where(wrong, 3 * price, price)}
    ).assign(seed_1=price)

    def width(groups: np.ndarray) -> float:
        overall, _ = fold_metrics(predictions, groups, resamples=400, seed=1)
        return float(overall["smape_high"] - overall["smape_low"])

    assert width(np.arange(200) // 10) > 2 * width(np.arange(200))
