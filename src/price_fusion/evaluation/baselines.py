"""Simple models on the same rows and features, to measure the variants against."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.data.splits import evaluated_split
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import MissingCheckpointError, MissingPackageError, TrainingError
from price_fusion.metrics.price_scale import unit_of_split
from price_fusion.models.estimators import ESTIMATORS, FitData, fit_data
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.ridge import Ridge
from price_fusion.models.features import Features, features_from_tables
from price_fusion.parameters import ComparisonParameters, Source

logger = logging.getLogger(__name__)

Values = NDArray[np.float64]
Prices = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class SplitFeatures:
    """Features and log prices of N labelled products, and which rows fit, stop and are evaluated."""

    features: Features
    sources: Mapping[str, Source]
    """Declarations, by name."""
    log_prices: Values
    """(N,) of prices in ``unit``."""
    unit: float
    """In currency units."""
    train: Rows
    validation: Rows
    evaluated: Rows

    @classmethod
    def of(
        cls, samples: pd.DataFrame, split_table: pd.DataFrame, tables: Mapping[str, EmbeddingTable]
    ) -> SplitFeatures:
        """Find them.

        Args:
            samples: the sample table, labelled.
            split_table: in the order of ``samples``.
            tables: the sources.
        """
        split, unit = split_table["split"].to_numpy(), unit_of_split(samples, split_table)
        sources = {source: table.declaration for source, table in tables.items()}
        parts = (np.flatnonzero(split == name) for name in ("train", "validation", evaluated_split(split_table)))
        log_prices = np.log1p(samples["price"].to_numpy(np.float64) / unit)
        return cls(features_from_tables(samples, tables, sources), sources, log_prices, unit, *parts)

    def fit_data(self, sources: Sequence[str], fit: Rows | None = None) -> FitData:
        """What an estimator of some sources is fitted on: all train rows, or the rows ``fit`` of them."""
        own = {source: self.sources[source] for source in sources}
        rows = self.train if fit is None else fit
        return fit_data(self.features, own, self.log_prices, rows, self.validation, self.unit)

    def ridge_prices(
        self, sources: Sequence[str], options: ComparisonParameters, seed: int, fit: Rows | None = None
    ) -> Prices:
        """Prices of the evaluated rows, (M,) in currency units, by a ridge; arguments as of ``fit_data``."""
        fitted = Ridge.fit(self.fit_data(sources, fit), options, seed)
        return np.expm1(fitted.log_prices(self.features, self.evaluated)) * self.unit


def baseline_results(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    *,
    options: ComparisonParameters | None = None,
    seed: int = 0,
    ridges: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Prices of the evaluated rows by the median price and by each kind of estimator (``models/estimators``).

    All are fitted on train rows; validation rows choose penalties, length scales and neighbours by SMAPE and end
    boosting by the mean absolute error of the log price. A kind whose package is not installed, whose checkpoint is not
    configured, or that cannot be fitted on these products, is left out, and a log line says so.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        tables: the sources to fit on.
        options: what fitting may spend; by default as ``ComparisonParameters`` says.
        seed: of what is random.
        ridges: sources of further ridge regressions, by their names, as ``ridges_of`` gives them.

    Returns:
        per evaluated product ``sample_id``, ``price``, ``median``, a column a kind and one a further ridge, prices in currency units.
    """
    products = SplitFeatures.of(samples, split_table, tables)
    data = products.fit_data(tuple(tables))
    on_validation = evaluated_split(split_table) == "validation"
    matrix = data.stop if on_validation else data.design.matrix(products.features, products.evaluated)
    options = options or ComparisonParameters()
    price = samples["price"].to_numpy(np.float64)
    predicted = {
        "median": np.full(len(products.evaluated), np.median(price[products.train])),
        **_predicted(data, matrix, options, seed),
        **{ridge: products.ridge_prices(own, options, seed) for ridge, own in (ridges or {}).items()},
    }
    return pd.DataFrame(
        {
            "sample_id": samples["sample_id"].to_numpy()[products.evaluated],
            "price": price[products.evaluated],
            **predicted,
        }
    )


def _predicted(data: FitData, matrix: Matrix, options: ComparisonParameters, seed: int) -> dict[str, Prices]:
    """Prices of rows of the design by each kind that can be fitted here, (M,) in currency units."""
    predicted: dict[str, Prices] = {}
    for kind, estimator in ESTIMATORS.items():
        try:
            predicted[kind] = np.expm1(estimator.fit(data, options, seed).of_matrix(matrix)) * data.unit
        except (MissingPackageError, MissingCheckpointError) as error:
            logger.info("%s The leaderboard leaves it out.", error)
        except TrainingError as error:  # sources that tell nothing apart must not keep a variant from being compared
            logger.warning("%s The leaderboard leaves it out.", error)
    return predicted
