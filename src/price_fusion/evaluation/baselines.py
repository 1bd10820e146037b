"""Simple models on the same rows and features, to measure the variants against."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.data.splits import evaluated_split
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import MissingCheckpointError, MissingPackageError, TrainingError
from price_fusion.metrics.price_scale import unit_of_split
from price_fusion.models.estimators import ESTIMATORS, EstimatorOptions, FitData, fit_data
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.ridge import Ridge
from price_fusion.models.features import features_from_tables

logger = logging.getLogger(__name__)

Prices = NDArray[np.float64]


def baseline_results(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    *,
    options: EstimatorOptions | None = None,
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
        options: what fitting may spend; by default as ``EstimatorOptions`` says.
        seed: of what is random.
        ridges: sources of further ridge regressions, by their names, as ``ridges_of`` gives them.

    Returns:
        per evaluated product ``sample_id``, ``price``, ``median``, a column a kind and one a further ridge, prices in currency units.
    """
    split = split_table["split"].to_numpy()
    train, validation = (np.flatnonzero(split == name) for name in ("train", "validation"))
    name = evaluated_split(split_table)
    evaluated = np.flatnonzero(split == name)
    price = samples["price"].to_numpy(np.float64)
    sources = {source: table.declaration for source, table in tables.items()}
    features = features_from_tables(samples, tables, sources)
    unit = unit_of_split(samples, split_table)
    data = fit_data(features, sources, np.log1p(price / unit), train, validation, unit)
    matrix = data.stop if name == "validation" else data.design.matrix(features, evaluated)
    fewer: dict[str, Prices] = {}
    options = options or EstimatorOptions()
    for ridge, own in (ridges or {}).items():
        own_data = fit_data(
            features, {one: sources[one] for one in own}, np.log1p(price / unit), train, validation, unit
        )
        fitted = Ridge.fit(own_data, options, seed)
        fewer[ridge] = np.expm1(fitted.log_prices(features, evaluated)) * unit
    predicted = {
        "median": np.full(len(evaluated), np.median(price[train])),
        **_predicted(data, matrix, options, seed),
        **fewer,
    }
    return pd.DataFrame(
        {"sample_id": samples["sample_id"].to_numpy()[evaluated], "price": price[evaluated], **predicted}
    )


def _predicted(data: FitData, matrix: Matrix, options: EstimatorOptions, seed: int) -> dict[str, Prices]:
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
