"""Simple models on the same rows, to measure the variants against."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from price_fusion.fusion.metrics import smape_per_product
from price_fusion.fusion.splits import evaluated_split
from price_fusion.fusion.tables.table import EmbeddingTable

RIDGE_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def yardstick_prices(
    samples: pd.DataFrame, split_table: pd.DataFrame, tables: Mapping[str, EmbeddingTable]
) -> tuple[str, NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Prices by a ridge regression on the log price, and by the median price, for the evaluated rows.

    Both are fitted on train rows; ridge's penalty is chosen on validation rows by SMAPE.

    Returns:
        name of the evaluated split, its true prices, and the predicted ones by yardstick; all (M,), USD.
    """
    split = split_table["split"].to_numpy()
    evaluated = evaluated_split(split_table)
    price = samples["price"].to_numpy(np.float64)
    matrix = _matrix(samples, tables, split == "train")
    train, validation, target = split == "train", split == "validation", split == evaluated
    fitted = [Ridge(alpha=penalty).fit(matrix[train], np.log1p(price[train])) for penalty in RIDGE_PENALTIES]
    errors = [smape_per_product(_prices(model, matrix[validation]), price[validation]).mean() for model in fitted]
    best = fitted[int(np.argmin(errors))]
    return (
        evaluated,
        price[target],
        {
            "ridge": _prices(best, matrix[target]),
            "median": np.full(int(target.sum()), np.median(price[train])),
        },
    )


def _prices(model: Ridge, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    prices: NDArray[np.float64] = np.maximum(np.expm1(model.predict(matrix).astype(np.float64)), 0.01)
    return prices


def _matrix(
    samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable], train: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """All sources side by side: unit-length embeddings, structural columns as signed logs with unit spread, 0 for missing."""
    blocks = []
    for name, table in tables.items():
        rows = samples[f"row_{name}"].to_numpy()
        present = (rows >= 0)[:, None]
        vectors = np.concatenate(table.vectors)[np.maximum(rows, 0)].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        blocks.append(np.where(present, vectors / np.where(lengths > 0, lengths, 1), 0))
        if table.structural_columns:
            values = table.structural[np.maximum(rows, 0)]
            logs = np.where(present, np.sign(values) * np.log1p(np.abs(values)), 0)
            blocks.append((logs - logs[train].mean(axis=0)) / np.maximum(logs[train].std(axis=0), 1e-6))
    return np.concatenate(blocks, axis=1, dtype=np.float32)
