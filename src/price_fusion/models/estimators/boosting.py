"""Gradient-boosted trees on the log price, by packages that are extras of this one."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import JsonValue

from price_fusion.compute.progress import LoopProgress
from price_fusion.errors import TrainingError
from price_fusion.lazy import optional_package
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.estimator import Estimator, FitData, Settings, Values
from price_fusion.models.estimators.folder import Description
from price_fusion.parameters import ComparisonParameters

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
    """Trees of the package that is called as its kind.

    Args:
        description: of it.
        model: the package's own, cut off after its best round.
        threads: that predict; 0: all cores.
    """

    parameters: ClassVar[dict[str, JsonValue]]
    """Of the package, beside rounds and seed."""

    def __init__(self, description: Description, model: Any, threads: int) -> None:
        super().__init__(description)
        self._model = model
        self._threads = threads

    @classmethod
    def fit(cls, data: FitData, options: ComparisonParameters, seed: int) -> Self:
        """Boost until the mean absolute error of the stop rows has not fallen for ``EARLY_STOPPING_ROUNDS``."""
        package = optional_package(cls.kind)
        started, threads, given = perf_counter(), options.boosting_threads, {**cls.parameters, "seed": seed}
        with LoopProgress(f"fitting {cls.kind}", options.boosting_rounds, "rounds at most") as progress:
            model, rounds = cls._boosted(package, data, given, threads, progress, stops=True)
        seconds = perf_counter() - started
        logger.info("%s: %d of %d rounds, %.1f s", cls.kind, rounds, options.boosting_rounds, seconds)
        return cls(data.described(**cls.parameters, rounds=rounds, seed=seed), model, threads)

    @classmethod
    def fitted(cls, data: FitData, options: ComparisonParameters, settings: Settings) -> Self:
        """Boost for the rounds of the settings."""
        package, threads = optional_package(cls.kind), options.boosting_threads
        given = dict(settings)
        rounds = int(given.pop("rounds"))  # type: ignore[arg-type]
        with LoopProgress(f"fitting {cls.kind}", rounds, "rounds") as progress:
            model, _ = cls._boosted(package, data, given, threads, progress, stops=False)
        return cls(data.described(**settings), model, threads)

    @classmethod
    @abstractmethod
    def _boosted(
        cls, package: Any, data: FitData, given: Settings, threads: int, progress: LoopProgress, *, stops: bool
    ) -> tuple[Any, int]:
        """A model and its rounds: as many as ``progress`` has, or, where the stop rows end it, those of their lowest error."""


class LightGBM(_Boosted):
    """Trees of LightGBM, a ``lightgbm.Booster``. The result does not depend on the number of threads."""

    kind: ClassVar[str] = "lightgbm"
    file: ClassVar[str] = "lightgbm.txt"
    parameters = LIGHTGBM_PARAMETERS

    @classmethod
    def _boosted(
        cls, package: Any, data: FitData, given: Settings, threads: int, progress: LoopProgress, *, stops: bool
    ) -> tuple[Any, int]:
        fit = package.Dataset(data.fit, data.fit_log_prices)
        callbacks: list[Any] = [lambda _: progress.advance()]
        watched = {}
        if stops:
            watched["valid_sets"] = [package.Dataset(data.stop, data.stop_log_prices, reference=fit)]
            callbacks.append(package.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False))
        settings = {**given, "num_threads": threads}
        booster = package.train(settings, fit, num_boost_round=progress.total, callbacks=callbacks, **watched)
        if not stops:
            return booster, progress.total
        rounds = booster.best_iteration
        return package.Booster(model_str=booster.model_to_string(num_iteration=rounds)), rounds

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
    parameters = CATBOOST_PARAMETERS

    @classmethod
    def _boosted(
        cls, package: Any, data: FitData, given: Settings, threads: int, progress: LoopProgress, *, stops: bool
    ) -> tuple[Any, int]:
        settings = {**given, "iterations": progress.total, "thread_count": threads or -1}
        settings["random_seed"] = settings.pop("seed")
        watched: dict[str, Any] = {}
        if stops:
            settings |= {"od_type": "Iter", "od_wait": EARLY_STOPPING_ROUNDS}
            watched = {"eval_set": (data.stop, data.stop_log_prices), "use_best_model": True}
        model = package.CatBoostRegressor(**settings)
        with _catboost_errors(package, data):
            model.fit(data.fit, data.fit_log_prices, callbacks=[_CatBoostRounds(progress)], **watched)
        return model, model.tree_count_

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


@contextmanager
def _catboost_errors(package: Any, data: FitData) -> Iterator[None]:
    """Where CatBoost says why it cannot be fitted.

    Raises:
        TrainingError: with what to do about it.
    """
    try:
        yield
    except package.CatBoostError as error:
        raise TrainingError(
            f"catboost cannot be fitted on {len(data.fit):,} products with {data.fit.shape[1]} features: {error} Bring "
            "sources that tell these products apart, or leave it out of ensemble.presets.<name>.members."
        ) from error
