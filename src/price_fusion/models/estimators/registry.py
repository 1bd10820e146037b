"""All kinds of estimator, by name: fitting and loading them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from pydantic import JsonValue

from price_fusion.errors import CheckpointError, DataError, ParameterError
from price_fusion.models.estimators.boosting import CatBoost, LightGBM
from price_fusion.models.estimators.design import Rows
from price_fusion.models.estimators.estimator import Estimator, Values, fit_data
from price_fusion.models.estimators.folder import KIND, RECORD, read_record
from price_fusion.models.estimators.kernel_ridge import KernelRidge
from price_fusion.models.estimators.neighbours import Neighbours
from price_fusion.models.estimators.pretrained.tabicl import TabICL
from price_fusion.models.estimators.pretrained.tabicl_checkpoint import TabICLCheckpoint
from price_fusion.models.estimators.ridge import Ridge
from price_fusion.models.features import Features
from price_fusion.parameters import ComparisonParameters, Source

ESTIMATORS: Final[Mapping[str, type[Estimator]]] = MappingProxyType(
    {estimator.kind: estimator for estimator in (Ridge, KernelRidge, Neighbours, LightGBM, CatBoost, TabICL)}
)

NO_ROWS: Final[Rows] = np.empty(0, np.int64)


def deciding(options: ComparisonParameters, kind: str) -> dict[str, JsonValue]:
    """Those of the options that decide what is fitted: of a checkpoint its contents, not its place.

    Args:
        options: what fitting may spend.
        kind: of estimator.

    Raises:
        CheckpointError: if there is no such file as ``tabicl`` needs; only where it is asked about.
    """
    found: dict[str, JsonValue] = {"rounds": options.boosting_rounds, "memory_gb": options.kernel_memory_gb}
    if kind == TabICL.kind:
        given = options.tabicl_checkpoint
        found["tabicl"] = {
            "checkpoint": TabICLCheckpoint.at(given).sha256 if given else "",
            "columns": options.tabicl_columns,
            "memory_gb": options.tabicl_memory_gb,
        }
    return found


def fit_estimator(
    kind: str,
    features: Features,
    sources: Mapping[str, Source],
    log_prices: Values,
    fit_rows: Rows,
    stop_rows: Rows,
    *,
    options: ComparisonParameters | None = None,
    seed: int = 0,
    unit: float = 1.0,
    fit_stop_rows: bool = False,
) -> Estimator:
    """Fit an estimator. The prices of other rows than those named are not used.

    Args:
        kind: a key of ``ESTIMATORS``.
        features: of N products, with each of ``sources``.
        sources: as declared.
        log_prices: (N,) log1p of prices in ``unit``.
        fit_rows: (F,) places among the N products, to fit on.
        stop_rows: (S,) places, none of them a fit row: they choose penalties, length scales, numbers of trees or neighbours.
        options: what fitting may spend; by default as ``ComparisonParameters`` says.
        seed: of what is random.
        unit: of the log prices, in currency units.
        fit_stop_rows: whether to fit on the stop rows, too, once they have chosen.

    Raises:
        ParameterError: if there is no such kind.
        DataError: as ``fit_data``, and if there are no stop rows.
        MissingPackageError: if the kind needs a package that is not installed.
        MissingCheckpointError: if the kind needs a checkpoint that the options do not name.
    """
    if kind not in ESTIMATORS:
        raise ParameterError(f"there is no estimator {kind!r}, expected one of {', '.join(ESTIMATORS)}.")
    if not len(stop_rows):
        raise DataError(
            f"{kind}: {len(fit_rows)} fit rows and 0 stop rows, expected some of each. Split the products with train and "
            "validation rows (splitting.proportions, splitting.folds)."
        )
    estimator, options = ESTIMATORS[kind], options or ComparisonParameters()
    data = fit_data(features, sources, log_prices, fit_rows, stop_rows, unit)
    if not fit_stop_rows:
        return estimator.fit(data, options, seed)
    settings = estimator.choose(data, options, seed)
    del data  # only one matrix in memory
    rows = np.sort(np.concatenate([fit_rows, stop_rows]))
    return estimator.fitted(fit_data(features, sources, log_prices, rows, NO_ROWS, unit), options, settings)


def refit_estimator(
    fitted: Estimator,
    features: Features,
    log_prices: Values,
    rows: Rows,
    *,
    options: ComparisonParameters | None = None,
) -> Estimator:
    """Fit the same estimator on other rows, with the settings that its stop rows chose.

    Args:
        fitted: whose kind, sources and settings to take.
        features: of N products, with each of its sources.
        log_prices: (N,) log1p of prices in the unit of its ``price_scale``.
        rows: (F,) places among the N products, to fit on.
        options: what fitting may spend; by default as ``ComparisonParameters`` says.

    Raises:
        DataError: as ``fit_data``.
        MissingPackageError: if the kind needs a package that is not installed.
    """
    declared, unit = fitted.sources, fitted.price_scale.unit
    data = fit_data(features, declared, log_prices, rows, NO_ROWS, unit)
    return type(fitted).fitted(data, options or ComparisonParameters(), fitted.description.settings)


def load_estimator(folder: Path, *, threads: int = 0) -> Estimator:
    """Read an estimator from the folder it was saved to.

    Args:
        folder: of the estimator.
        threads: of boosted trees that predict; 0: all cores. Prices do not depend on them.

    Raises:
        CheckpointError: if there is none, it is damaged, of another format or kind than this program's, or fitted with another
            checkpoint than the one that is there.
        MissingPackageError: if the kind needs a package that is not installed.
    """
    record = read_record(folder)
    if record.kind not in ESTIMATORS:
        raise CheckpointError(
            f"{folder / RECORD}: an estimator of kind {record.kind!r}, expected one of {', '.join(ESTIMATORS)}. Fit again, or "
            f"use price-fusion {record.package_version}."
        )
    kind = ESTIMATORS[record.kind]
    KIND.check(folder, {kind.file: record.sha256})
    try:
        return kind.read(folder / kind.file, record.estimator, threads)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / kind.file}: not what a {kind.kind} estimator writes ({error}). Fit again."
        ) from error
