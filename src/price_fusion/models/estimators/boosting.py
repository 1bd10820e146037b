"""Gradient-boosted trees on the log price, by packages that are extras of this one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import JsonValue

from price_fusion.compute.progress import LoopProgress
from price_fusion.errors import MissingPackageError, TrainingError
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.estimator import Estimator, EstimatorOptions, FitData, Settings, Values
from price_fusion.models.estimators.folder import Description

logger = logging.getLogger(__name__)

LIGHTGBM_PARAMETERS: dict[str, JsonValue] = {
    "objective": "regression_l1",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "feature_fraction": 0.2,
    "max_bin": 63,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
CATBOOST_PARAMETERS: dict[str, JsonValue] = {
    "loss_function": "MAE",
    "learning_rate": 0.04,
    "depth": 5,
    "rsm": 0.1,
    "random_strength": 0.0,
    "border_count": 32,
    "boosting_type": "Plain",
    "bootstrap_type": "Bernoulli",
    "subsample": 0.8,
    "allow_const_label": True,
    "allow_writing_files": False,
    "logging_level": "Silent",
}
EARLY_STOPPING_ROUNDS = 50


class _Boosted(Estimator):
    """Trees of some package.

    Args:
        description: of it.
        model: the package's own, cut off after its best round.
        threads: that predict; 0: all cores.
    """

    def __init__(self, description: Description, model: Any, threads: int) -> None:
        super().__init__(description)
        self._model = model
        self._threads = threads

    @classmethod
    def choose(cls, data: FitData, options: EstimatorOptions, seed: int) -> Settings:
        """The settings of ``fit``: the rounds are those at which its boosting stopped."""
        return cls.fit(data, options, seed).description.settings


class LightGBM(_Boosted):
    """Trees of LightGBM, a ``lightgbm.Booster``. The result does not depend on the number of threads."""

    kind: ClassVar[str] = "lightgbm"
    file: ClassVar[str] = "lightgbm.txt"

    @classmethod
    def fit(cls, data: FitData, options: EstimatorOptions, seed: int) -> Self:
        """Boost until the mean absolute error of the stop rows has not fallen for ``EARLY_STOPPING_ROUNDS``."""
        lightgbm = optional_package("lightgbm")
        started = perf_counter()
        fit = lightgbm.Dataset(data.fit, data.fit_log_prices)
        stop = lightgbm.Dataset(data.stop, data.stop_log_prices, reference=fit)
        with _progress(cls.kind, options.rounds, at_most=True) as progress:
            booster = lightgbm.train(
                {**LIGHTGBM_PARAMETERS, "num_threads": options.threads, "seed": seed},
                fit,
                num_boost_round=options.rounds,
                valid_sets=[stop],
                callbacks=[
                    lambda _: progress.advance(),
                    lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False),
                ],
            )
        _log(cls.kind, booster.best_iteration, options, started)
        best = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
        return cls(
            data.described(**LIGHTGBM_PARAMETERS, rounds=booster.best_iteration, seed=seed), best, options.threads
        )

    @classmethod
    def fitted(cls, data: FitData, options: EstimatorOptions, settings: Settings) -> Self:
        """Boost for the rounds of the settings."""
        lightgbm = optional_package("lightgbm")
        given = dict(settings)
        rounds = int(given.pop("rounds"))  # type: ignore[arg-type]
        fit = lightgbm.Dataset(data.fit, data.fit_log_prices)
        with _progress(cls.kind, rounds) as progress:
            booster = lightgbm.train(
                {**given, "num_threads": options.threads},
                fit,
                num_boost_round=rounds,
                callbacks=[lambda _: progress.advance()],
            )
        return cls(data.described(**settings), booster, options.threads)

    @classmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open the model's text."""
        lightgbm = optional_package("lightgbm")
        try:
            booster = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(str(error)) from error
        return cls(description, booster, threads)

    def write(self, path: Path) -> None:
        """Write the model's text."""
        path.write_text(self._model.model_to_string(), encoding="utf-8")

    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""
        return np.asarray(self._model.predict(matrix, num_threads=self._threads), np.float64)


class CatBoost(_Boosted):
    """Trees of CatBoost, a ``catboost.CatBoostRegressor``: symmetric ones, so they err otherwise than LightGBM's."""

    kind: ClassVar[str] = "catboost"
    file: ClassVar[str] = "catboost.cbm"

    @classmethod
    def fit(cls, data: FitData, options: EstimatorOptions, seed: int) -> Self:
        """Boost until the mean absolute error of the stop rows has not fallen for ``EARLY_STOPPING_ROUNDS``."""
        catboost = optional_package("catboost")
        started = perf_counter()
        model = catboost.CatBoostRegressor(
            **CATBOOST_PARAMETERS,
            iterations=options.rounds,
            od_type="Iter",
            od_wait=EARLY_STOPPING_ROUNDS,
            random_seed=seed,
            thread_count=options.threads or -1,
        )
        with _catboost_errors(data), _progress(cls.kind, options.rounds, at_most=True) as progress:
            model.fit(
                data.fit,
                data.fit_log_prices,
                eval_set=(data.stop, data.stop_log_prices),
                use_best_model=True,
                callbacks=[_CatBoostRounds(progress)],
            )
        _log(cls.kind, model.tree_count_, options, started)
        return cls(data.described(**CATBOOST_PARAMETERS, rounds=model.tree_count_, seed=seed), model, options.threads)

    @classmethod
    def fitted(cls, data: FitData, options: EstimatorOptions, settings: Settings) -> Self:
        """Boost for the rounds of the settings."""
        catboost = optional_package("catboost")
        given = dict(settings)
        rounds, seed = int(given.pop("rounds")), given.pop("seed")  # type: ignore[arg-type]
        model = catboost.CatBoostRegressor(
            **given, iterations=rounds, random_seed=seed, thread_count=options.threads or -1
        )
        with _catboost_errors(data), _progress(cls.kind, rounds) as progress:
            model.fit(data.fit, data.fit_log_prices, callbacks=[_CatBoostRounds(progress)])
        return cls(data.described(**settings), model, options.threads)

    @classmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open the model."""
        catboost = optional_package("catboost")
        try:
            model = catboost.CatBoostRegressor().load_model(str(path), format="cbm")
        except catboost.CatBoostError as error:
            raise ValueError(str(error)) from error
        return cls(description, model, threads)

    def write(self, path: Path) -> None:
        """Write the model."""
        self._model.save_model(str(path), format="cbm")

    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""
        return np.asarray(self._model.predict(matrix, thread_count=self._threads or -1), np.float64)


class _CatBoostRounds:
    """A callback of CatBoost that counts its rounds.

    Args:
        progress: that shows them.
    """

    def __init__(self, progress: LoopProgress) -> None:
        self._progress = progress

    def after_iteration(self, info: Any) -> bool:
        """Count one more, and go on."""
        self._progress.advance()
        return True


def _progress(kind: str, rounds: int, *, at_most: bool = False) -> LoopProgress:
    """Of boosting, whose stop rows may end it before all rounds are over: then the time left is the most it can take."""
    return LoopProgress(f"fitting {kind}", rounds, "rounds at most" if at_most else "rounds")


@contextmanager
def _catboost_errors(data: FitData) -> Iterator[None]:
    """Where CatBoost says why it cannot be fitted.

    Raises:
        TrainingError: with what to do about it.
    """
    try:
        yield
    except optional_package("catboost").CatBoostError as error:
        raise TrainingError(
            f"catboost cannot be fitted on {len(data.fit):,} products with {data.fit.shape[1]} features: {error} Bring "
            "sources that tell these products apart, or leave it out of ensemble.presets.<name>.members."
        ) from error


def optional_package(name: str) -> Any:
    """Import a package that is an extra of this one, by the same name.

    Raises:
        MissingPackageError: saying how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(f'{name} is not installed: pip install --editable ".[{name}]" brings it.') from error


def _log(kind: str, rounds: int, options: EstimatorOptions, started: float) -> None:
    logger.info("%s: %d of %d rounds, %.1f s", kind, rounds, options.rounds, perf_counter() - started)
