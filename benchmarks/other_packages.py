"""Models of other packages, on the matrix that our estimators have: LightGBM with extra trees, pytabkit, AutoGluon."""

from __future__ import annotations

import importlib
import logging
import tempfile
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from bench import Bench
from outer_folds import OuterFold, Predicted
from price_fusion.metrics.price_scale import PriceScale
from price_fusion.models.estimators import FitData, fit_data
from price_fusion.models.estimators.boosting import EARLY_STOPPING_ROUNDS, LIGHTGBM_PARAMETERS
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.features import Features, features_from_tables

PYTABKIT = {
    name: (classname, {"n_cv": 1, "n_refit": 0, "train_metric_name": "mae", "val_metric_name": "mae"})
    for name, classname in (("RealMLP", "RealMLP_TD_Regressor"), ("TabM", "TabM_D_Regressor"))
}
"""Classes and what differs from their tuned defaults: as ours do, they minimise the mean absolute error of the log price."""
EXTRA_TREES = {**LIGHTGBM_PARAMETERS, "extra_trees": True}
"""LightGBM as ours, with thresholds drawn at random (Geurts et al. 2006)."""
AUTOGLUON = {"presets": "medium_quality", "time_limit": 1_200, "excluded_model_types": ["RF", "XT"]}
"""What its models are, and the seconds that they may take.

Forests are left out, as they do not keep to that time on 3,971 columns: the first was unfinished after 20 minutes.
"""


def predict_with_pytabkit(bench: Bench, name: str, outer: OuterFold, seed: int, **arguments: Any) -> Predicted:
    """A model of pytabkit on the matrix that the estimators have.

    Args:
        bench: what to work with.
        name: key of ``PYTABKIT``.
        outer: rows.
        seed: of the model.
        arguments: others of the class, for trials.
    """
    classname, settings = PYTABKIT[name]
    features, data = one_matrix(bench, outer)
    import torch

    threads = bench.threads or torch.get_num_threads()
    regressor = getattr(importlib.import_module("pytabkit"), classname)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    model = regressor(**settings, random_state=seed, n_threads=threads, **arguments)
    began = perf_counter()
    model.fit(data.fit, data.fit_log_prices, data.stop, data.stop_log_prices)
    seconds = perf_counter() - began
    logs = np.asarray(model.predict(data.design.matrix(features, outer.scored)), np.float64).ravel()
    return Predicted(PriceScale.of(bench.prices[outer.others]).prices(logs), seconds)


def predict_with_extra_trees(bench: Bench, outer: OuterFold, seed: int) -> Predicted:
    """LightGBM with extra trees: the stop rows choose the rounds, then all other rows are fitted, as our estimators are."""
    import lightgbm

    features, data = one_matrix(bench, outer)
    parameters = {**EXTRA_TREES, "num_threads": bench.threads or 0, "seed": seed}
    began = perf_counter()
    fit = lightgbm.Dataset(data.fit, data.fit_log_prices)
    stop = lightgbm.Dataset(data.stop, data.stop_log_prices, reference=fit)
    patience = lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)
    chosen = lightgbm.train(parameters, fit, bench.configuration.rounds, valid_sets=[stop], callbacks=[patience])
    everything = lightgbm.Dataset(
        np.concatenate([data.fit, data.stop]), np.concatenate([data.fit_log_prices, data.stop_log_prices])
    )
    booster = lightgbm.train(parameters, everything, chosen.best_iteration)
    seconds = perf_counter() - began
    logs = np.asarray(booster.predict(data.design.matrix(features, outer.scored)), np.float64)
    details = {"rounds": chosen.best_iteration}
    return Predicted(PriceScale.of(bench.prices[outer.others]).prices(logs), seconds, details)


def predict_with_autogluon(bench: Bench, outer: OuterFold, seed: int) -> Predicted:
    """AutoGluon's own choice and blend of models, on the matrix that the estimators have; the stop rows are its tuning data."""
    features, data = one_matrix(bench, outer)
    columns = [f"x{number}" for number in range(data.fit.shape[1])]

    def framed(matrix: Matrix) -> pd.DataFrame:
        return pd.DataFrame(np.asarray(matrix, np.float32), columns=columns)

    with tempfile.TemporaryDirectory(prefix="price_fusion_") as place:
        predictor = importlib.import_module("autogluon.tabular").TabularPredictor(
            "log_price", eval_metric="mean_absolute_error", path=place, verbosity=1
        )
        began = perf_counter()
        predictor.fit(
            framed(data.fit).assign(log_price=data.fit_log_prices),
            tuning_data=framed(data.stop).assign(log_price=data.stop_log_prices),
            num_cpus=bench.threads or "auto",
            **AUTOGLUON,
        )
        seconds = perf_counter() - began
        logs = predictor.predict(framed(data.design.matrix(features, outer.scored))).to_numpy(np.float64)
        details = {"models": predictor.model_names(), "best": predictor.model_best}
    return Predicted(PriceScale.of(bench.prices[outer.others]).prices(logs), seconds, details)


def one_matrix(bench: Bench, outer: OuterFold) -> tuple[Features, FitData]:
    """All sources side by side, for models of other packages: of all products, and of the fit and stop rows."""
    sources = {source: table.declaration for source, table in bench.tables.items()}
    features = features_from_tables(bench.samples, bench.tables, sources)
    return features, fit_data(features, sources, np.log1p(bench.prices), outer.fit, outer.stop)
