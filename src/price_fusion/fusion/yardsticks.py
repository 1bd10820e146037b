"""Simple models on the same rows and features, to measure the variants against."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from price_fusion.fusion.metrics import smape_per_product
from price_fusion.fusion.splits import evaluated_split
from price_fusion.fusion.tables.table import EmbeddingTable

logger = logging.getLogger(__name__)

RIDGE_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
LIGHTGBM_PARAMETERS = {
    "objective": "regression_l1",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "feature_fraction": 0.2,
    "max_bin": 63,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
EARLY_STOPPING_ROUNDS = 50
LIGHTGBM_ADVICE = (
    'lightgbm is not installed, so the leaderboard leaves it out: pip install --editable ".[lightgbm]" brings it'
)
BLOCK_ROWS = 8_192
"""Rows brought to float32 or multiplied at a time: about 130 MB at the reference's widths."""

Matrix = NDArray[np.float32]
Prices = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """Features (M, D) and prices (M,) in USD of the train, the validation and the evaluated rows: views of one matrix."""

    train: Matrix
    train_price: Prices
    validation: Matrix
    validation_price: Prices
    evaluated: Matrix


def yardstick_results(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    *,
    lightgbm_rounds: int = 2_000,
    lightgbm_threads: int = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Prices of the evaluated rows by the median price, a ridge regression and gradient-boosted trees on the log price.

    All are fitted on train rows; validation rows choose ridge's penalty by SMAPE and end LightGBM's boosting by the mean
    absolute error of the log price. Without the package ``lightgbm`` its column is left out, and a log line says so.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        tables: the sources to fit on.
        lightgbm_rounds: trees at most.
        lightgbm_threads: threads of LightGBM; 0: all cores. The result does not depend on them.
        seed: of LightGBM's choice of columns.

    Returns:
        per evaluated product ``sample_id``, ``price``, ``median``, ``ridge`` and ``lightgbm``, prices in USD.
    """
    split = split_table["split"].to_numpy()
    price = samples["price"].to_numpy(np.float64)
    evaluated = np.flatnonzero(split == evaluated_split(split_table))
    design = _design(samples, price, split, evaluated, tables)
    predicted = {
        "median": np.full(len(evaluated), np.median(design.train_price)),
        "ridge": _ridge(design),
        "lightgbm": _lightgbm(design, lightgbm_rounds, lightgbm_threads, seed),
    }
    known = {name: prices for name, prices in predicted.items() if prices is not None}
    return pd.DataFrame({"sample_id": samples["sample_id"].to_numpy()[evaluated], "price": price[evaluated], **known})


def _ridge(design: Design) -> Prices:
    """Prices by ridge regression; all penalties share one matrix of products."""
    mean = design.train.mean(axis=0, dtype=np.float64).astype(np.float32)
    target = np.log1p(design.train_price)
    gram, moment = _products(design.train, mean, target - target.mean())
    validation, evaluated = design.validation - mean, design.evaluated - mean
    fits = []
    for penalty in RIDGE_PENALTIES:
        penalised = gram.copy()
        penalised.flat[:: len(gram) + 1] += penalty
        weights = linalg.solve(penalised, moment, assume_a="pos", overwrite_a=True).astype(np.float32)
        guessed = _to_prices(validation @ weights + target.mean())
        fits.append((float(smape_per_product(guessed, design.validation_price).mean()), penalty, weights))
    error, penalty, weights = min(fits, key=lambda fit: fit[:2])
    logger.info("ridge: penalty %g, validation SMAPE %.2f %%", penalty, error)
    return _to_prices(evaluated @ weights + target.mean())


def _products(matrix: Matrix, mean: Matrix, target: Prices) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X'X (D, D) and X'y (D,) of the centred rows, block by block: products in float32, their sums in float64."""
    width = matrix.shape[1]
    gram, moment = np.zeros((width, width)), np.zeros(width)
    for start in range(0, len(matrix), BLOCK_ROWS):
        block = matrix[start : start + BLOCK_ROWS] - mean
        gram += block.T @ block
        moment += target[start : start + BLOCK_ROWS].astype(np.float32) @ block
    return gram, moment


def _lightgbm(design: Design, rounds: int, threads: int, seed: int) -> Prices | None:
    """Prices by gradient-boosted trees, or None where LightGBM is not installed."""
    try:
        import lightgbm
    except ImportError:
        logger.info(LIGHTGBM_ADVICE)
        return None
    started = perf_counter()
    train = lightgbm.Dataset(design.train, np.log1p(design.train_price))
    validation = lightgbm.Dataset(design.validation, np.log1p(design.validation_price), reference=train)
    booster = lightgbm.train(
        {**LIGHTGBM_PARAMETERS, "num_threads": threads, "seed": seed},
        train,
        num_boost_round=rounds,
        valid_sets=[validation],
        callbacks=[lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)],
    )
    logger.info("lightgbm: %d of %d rounds, %.1f s", booster.best_iteration, rounds, perf_counter() - started)
    return _to_prices(np.asarray(booster.predict(design.evaluated, num_threads=threads)))


def _to_prices(log_prices: NDArray[np.floating[Any]]) -> Prices:
    prices: Prices = np.maximum(np.expm1(log_prices.astype(np.float64)), 0.01)
    return prices


def _design(
    samples: pd.DataFrame,
    price: Prices,
    split: NDArray[Any],
    evaluated: NDArray[np.int64],
    tables: Mapping[str, EmbeddingTable],
) -> Design:
    """All rows in one matrix, in the order of their use, so that no part needs a copy."""
    train, validation = np.flatnonzero(split == "train"), np.flatnonzero(split == "validation")
    parts = [train, validation] if np.array_equal(validation, evaluated) else [train, validation, evaluated]
    order = np.concatenate(parts)
    matrix = _matrix(samples.iloc[order], tables, len(train))
    end = len(train) + len(validation)
    return Design(
        train=matrix[: len(train)],
        train_price=price[train],
        validation=matrix[len(train) : end],
        validation_price=price[validation],
        evaluated=matrix[len(matrix) - len(evaluated) :],
    )


def _matrix(samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable], train_rows: int) -> Matrix:
    """All sources side by side, (M, D): unit-length embeddings, structural columns as signed logs with unit spread.

    What is missing is 0. The first ``train_rows`` rows give the spread.
    """
    matrix = np.zeros(
        (len(samples), sum(table.width + table.structural_columns for table in tables.values())), np.float32
    )
    column = 0
    for name, table in tables.items():
        rows = samples[f"row_{name}"].to_numpy()
        _fill_vectors(matrix[:, column : column + table.width], table, rows)
        column += table.width
        _fill_structural(matrix[:, column : column + table.structural_columns], table, rows, train_rows)
        column += table.structural_columns
    return matrix


def _fill_vectors(columns: Matrix, table: EmbeddingTable, rows: NDArray[np.int64]) -> None:
    """Write unit-length embeddings of the rows that the table has, some thousands at a time."""
    first = 0
    for shard in table.vectors:
        held = np.flatnonzero((rows >= first) & (rows < first + len(shard)))
        for start in range(0, len(held), BLOCK_ROWS):
            places = held[start : start + BLOCK_ROWS]
            vectors = shard[rows[places] - first].astype(np.float32)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            columns[places] = vectors / np.where(lengths > 0, lengths, 1)
        first += len(shard)


def _fill_structural(columns: Matrix, table: EmbeddingTable, rows: NDArray[np.int64], train_rows: int) -> None:
    if not table.structural_columns:
        return
    values = table.structural[np.maximum(rows, 0)]
    logs = np.where((rows >= 0)[:, None], np.sign(values) * np.log1p(np.abs(values)), 0)
    train = logs[:train_rows]
    columns[:] = (logs - train.mean(axis=0)) / np.maximum(train.std(axis=0), 1e-6)
