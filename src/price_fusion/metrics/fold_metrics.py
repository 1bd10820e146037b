"""Metrics of out-of-fold predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.metrics.bootstrap import mean_interval
from price_fusion.metrics.price_metrics import price_metrics, smape_per_product


def fold_metrics(
    predictions: pd.DataFrame, groups: NDArray[np.int64], *, resamples: int, seed: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Metrics overall and of each fold.

    Args:
        predictions: as ``out_of_fold`` gives them.
        groups: (N,) group of each row, resampled together.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        overall: ``rows``, ``smape`` in percent with its 95 % interval, ``mae`` and ``rmse`` in currency units, ``r2``;
        ``smape_single``, the mean SMAPE of one seed's models alone; mean and standard deviation of SMAPE over folds. And
        ``fold``, ``rows`` and the metrics of each fold.
    """
    price, predicted = predictions["price"].to_numpy(), predictions["predicted"].to_numpy()
    low, high = mean_interval(smape_per_product(predicted, price), groups, resamples=resamples, seed=seed)
    seeds = [str(name) for name in predictions if str(name).startswith("seed_")]
    singles = [smape_per_product(predictions[name].to_numpy(), price).mean() for name in seeds]
    by_fold = pd.DataFrame(
        [
            {"fold": fold, "rows": len(part), **price_metrics(part["predicted"].to_numpy(), part["price"].to_numpy())}
            for fold, part in predictions.groupby("fold")
        ]
    )
    overall = {
        "split": "out of fold",
        "rows": len(predictions),
        **price_metrics(predicted, price),
        "smape_low": low,
        "smape_high": high,
        "smape_single": float(np.mean(singles)),
        "smape_fold_mean": float(by_fold["smape"].mean()),
        "smape_fold_deviation": float(by_fold["smape"].std()),
        "seeds": len(seeds),
        "folds": len(by_fold),
    }
    return overall, by_fold
