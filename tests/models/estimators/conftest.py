"""Small made products of three kinds of source, and estimators fitted on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from price_fusion.models.estimators import Estimator, fit_estimator
from price_fusion.models.features import Features, features_from_arrays
from price_fusion.parameters import ColumnSourceParameters, ComparisonParameters, Source, SourceParameters

SOURCES: dict[str, Source] = {
    "words": SourceParameters(width=6, group="text"),
    "picture": SourceParameters(width=5, group="image", structural_columns=1),
    "facts": ColumnSourceParameters(
        kind="columns",
        group="facts",
        numeric=("weight", "size"),
        categorical=("unit",),
        vocabulary={"unit": ("bag", "box", "can")},
    ),
}
COUNT = 260
FIT, STOP, OTHER = np.arange(180), np.arange(180, 220), np.arange(220, COUNT)


@dataclass(frozen=True)
class Made:
    """Products: per source the values (N, width) and which it knows (N,), and log prices (N,)."""

    sources: ClassVar[dict[str, Source]] = SOURCES
    fit_rows: ClassVar[NDArray[np.int64]] = FIT
    stop_rows: ClassVar[NDArray[np.int64]] = STOP
    other_rows: ClassVar[NDArray[np.int64]] = OTHER

    arrays: dict[str, NDArray[np.float32]]
    known: dict[str, NDArray[np.bool_]]
    log_prices: NDArray[np.float64]

    @property
    def features(self) -> Features:
        features = features_from_arrays(self.arrays, SOURCES, dict.fromkeys(SOURCES, "float32"))
        for name, source in features.sources.items():
            source.rows[~self.known[name]] = -1
        return features

    def complete(self) -> Made:
        """The same products, all of which every source knows."""
        return replace(self, known={name: np.ones(COUNT, np.bool_) for name in self.known})

    def changed(self, rows: NDArray[np.int64], seed: int = 1) -> Made:
        """The same with other values and prices at some rows."""
        generator = np.random.default_rng(seed)
        arrays = {name: array.copy() for name, array in self.arrays.items()}
        for array in arrays.values():
            array[rows] = generator.integers(0, 4, size=(len(rows), array.shape[1]))
        log_prices = self.log_prices.copy()
        log_prices[rows] = generator.normal(3, 1, size=len(rows))
        return replace(self, arrays=arrays, log_prices=log_prices)


@pytest.fixture
def made() -> Made:
    """260 products whose log price is about linear in two directions, a weight and a category; some values are missing."""
    generator = np.random.default_rng(4)
    words = generator.normal(size=(COUNT, 6))
    picture = np.hstack([generator.normal(size=(COUNT, 4)), np.exp(generator.normal(size=(COUNT, 1)))])
    weight, unit = generator.normal(2, 1, size=COUNT), generator.integers(0, 3, size=COUNT)
    log_prices = 3 + words[:, 0] / np.linalg.norm(words, axis=1) + 0.4 * weight + 0.3 * unit
    log_prices += generator.normal(0, 0.05, size=COUNT)
    weight[generator.random(COUNT) < 0.1] = np.nan
    facts = np.column_stack([weight, np.exp(generator.normal(size=COUNT)), unit])
    known = {name: generator.random(COUNT) > 0.05 for name in SOURCES}
    arrays = {
        name: values.astype(np.float32) for name, values in (("words", words), ("picture", picture), ("facts", facts))
    }
    return Made(arrays, known, log_prices)


@pytest.fixture(scope="session")
def fitted() -> Callable[..., Estimator]:
    """A function that fits a kind of estimator on made products."""

    def fit(kind: str, made: Made, rounds: int = 60, seed: int = 3) -> Estimator:
        options = ComparisonParameters(boosting_rounds=rounds, boosting_threads=1)
        return fit_estimator(kind, made.features, SOURCES, made.log_prices, FIT, STOP, options=options, seed=seed)

    return fit
