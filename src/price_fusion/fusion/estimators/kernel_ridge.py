"""Kernel ridge regression of the log price.

Shapes: ``F`` fit rows, ``C`` centres (all fit rows, or some of them), ``M`` rows to predict.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
from scipy import linalg

from price_fusion.fusion.estimators.base import Estimator, EstimatorOptions, FitData, Settings, Values
from price_fusion.fusion.estimators.choice import chosen
from price_fusion.fusion.estimators.contribution import Matrix
from price_fusion.fusion.estimators.design import Rows, blocks
from price_fusion.fusion.estimators.folder import Description, read_arrays, write_arrays
from price_fusion.fusion.estimators.geometry import Geometry
from price_fusion.fusion.estimators.threads import threads_for

logger = logging.getLogger(__name__)

LENGTHS = (0.7, 1.0, 1.4)
"""Length scales of the kernel; two fit rows are the square root of 2 apart on average."""
PENALTIES = (0.03, 0.1, 0.3)
"""Of the kernel's norm, beside a kernel of 1 between equal rows."""
CHOOSING_ROWS = 3_000
"""Fit rows, at random, with which the setting is chosen."""
CENTRES = 5_000
"""Fit rows, at random, that are centres where all of them would not fit in memory."""
JITTER = 1e-4
"""Added to the normal equations of centres: without it, those of two equal centres would have no single solution."""
QUERY_ROWS = 512
"""Products compared with all centres at a time."""


class Setting(NamedTuple):
    """What the stop rows choose."""

    length: float
    penalty: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """From the settings of an estimator."""
        return cls(*(float(settings[name]) for name in cls._fields))  # type: ignore[arg-type]


USUAL = Setting(1.0, 0.03)
"""Taken unless the stop rows say clearly otherwise."""


class KernelRidge(Estimator):
    """A Gaussian process mean with a Matern kernel of order 3/2 over the distances of ``Geometry``.

    All fit rows are centres up to a number that follows from the options; beyond it, as in Williams and Seeger 2001, "Using
    the Nystroem Method to Speed Up Kernel Machines", some of them are, and all fit rows are still fitted.

    Args:
        description: of it.
        setting: chosen by the stop rows.
        centres: C of the fit rows.
        weights: (C,) of the centres.
        level: log price far from all centres.
    """

    kind: ClassVar[str] = "kernel_ridge"
    file: ClassVar[str] = "kernel_ridge.safetensors"

    def __init__(
        self, description: Description, setting: Setting, centres: Geometry, weights: Values, level: float
    ) -> None:
        super().__init__(description)
        self.setting = setting
        self.centres = centres
        self.weights = weights
        self.level = level

    @classmethod
    def choose(cls, data: FitData, options: EstimatorOptions, seed: int) -> Settings:
        """Choose the setting with some fit rows; the seed draws them, and the centres of ``fitted``."""
        chooser = _drawn(data.fit_rows, CHOOSING_ROWS, seed)
        with threads_for(_flop(data, len(chooser), len(LENGTHS) * len(PENALTIES))):
            errors = _errors(data, chooser)
        setting = chosen(errors, USUAL)
        logger.info("kernel_ridge: %s, SMAPE of the stop rows %.2f %%", setting, errors[setting].mean())
        return {**setting._asdict(), "seed": seed}

    @classmethod
    def fitted(cls, data: FitData, options: EstimatorOptions, settings: Settings) -> Self:
        """Fit all fit rows, with all or some of them as centres."""
        setting, seed = Setting.of(settings), int(settings["seed"])  # type: ignore[arg-type]
        exact = math.isqrt(int(options.memory_gb * 1e9 / 8))
        drawn = _drawn(data.fit_rows, exact if data.fit_rows <= exact else min(CENTRES, exact), seed)
        level = float(data.fit_log_prices.mean())
        target = data.fit_log_prices - level
        with threads_for(_flop(data, len(drawn), 1)):
            centres = Geometry.of(data.design, data.fit[drawn])
            if len(drawn) == data.fit_rows:
                weights = _exact(centres, data.fit, target, setting)
            else:
                logger.info("kernel_ridge: %s centres of %s fit rows", f"{len(drawn):,}", f"{data.fit_rows:,}")
                weights = _with_centres(centres, data.fit, target, drawn, setting)
        return cls(data.described(**settings), setting, centres, weights, level)

    @classmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open the centres and weights."""
        arrays = read_arrays(path)
        setting = Setting.of(description.settings)
        centres = Geometry.read(description.design, arrays)
        return cls(description, setting, centres, arrays["weights"], float(arrays["level"][0]))

    def write(self, path: Path) -> None:
        """Write the centres and weights."""
        write_arrays(path, self.centres.arrays | {"weights": self.weights, "level": np.array([self.level])})

    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""
        prices = np.empty(len(matrix))
        for rows in blocks(len(matrix), QUERY_ROWS):
            kernel = matern(self.centres.squared(matrix[rows]).both, self.setting.length)
            prices[rows] = self.level + kernel @ self.weights
        return prices


def matern(squared: Matrix, length: float) -> Matrix:
    """The Matern kernel of order 3/2 of squared distances, (M, C): ``(1 + r) exp(-r)``, r = sqrt(3 squared) / length."""
    ratio = np.sqrt(squared * np.float32(3 / length**2))
    kernel: Matrix = np.exp(-ratio)
    kernel *= 1 + ratio
    return kernel


def _drawn(count: int, most: int, seed: int) -> Rows:
    """Some of ``count`` rows, ascending, or all if they are not too many."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _errors(data: FitData, chooser: Rows) -> dict[Setting, Values]:
    """SMAPE in percent of each stop row, (S,), as some fit rows predict it by each setting."""
    rows, level = data.fit[chooser], float(data.fit_log_prices[chooser].mean())
    centres = Geometry.of(data.design, rows)
    weights = _weights(centres.squared(rows).both, data.fit_log_prices[chooser] - level)
    guesses = {setting: np.empty(len(data.stop)) for setting in weights}
    for block in blocks(len(data.stop), QUERY_ROWS):
        squared = centres.squared(data.stop[block]).both
        kernels = {length: matern(squared, length) for length in LENGTHS}
        for setting, guess in guesses.items():
            guess[block] = level + kernels[setting.length] @ weights[setting]
    return {setting: data.stop_errors(guess) for setting, guess in guesses.items()}


def _weights(among: Matrix, target: Values) -> dict[Setting, Values]:
    """Weights of rows, (C,), by each setting; from the squared distances among them, (C, C), and what to predict, (C,)."""
    np.fill_diagonal(among, 0)
    weights = {}
    for length in LENGTHS:
        kernel = matern(among, length)
        for penalty in PENALTIES:
            weights[Setting(length, penalty)] = _solved(kernel.astype(np.float64), target, penalty)
    return weights


def _exact(centres: Geometry, fit: Matrix, target: Values, setting: Setting) -> Values:
    """Solve (K + penalty I) a = target for a, with the kernel K of all fit rows."""
    kernel = np.empty((len(fit), len(fit)))
    for rows in blocks(len(fit), QUERY_ROWS):
        kernel[rows] = matern(centres.squared(fit[rows]).both, setting.length)
    np.fill_diagonal(kernel, 1)
    return _solved(kernel, target, setting.penalty)


def _with_centres(centres: Geometry, fit: Matrix, target: Values, drawn: Rows, setting: Setting) -> Values:
    """Solve (K'K + penalty K_c) a = K' target for a.

    K (F, C) is the kernel of fit rows with centres, K_c (C, C) that of centres alone.
    """
    gram, moment = np.zeros((len(centres), len(centres)), order="F"), np.zeros(len(centres))
    for rows in blocks(len(fit), QUERY_ROWS):
        kernel = matern(centres.squared(fit[rows]).both, setting.length).astype(np.float64)
        gram = linalg.blas.dsyrk(1.0, kernel.T, beta=1.0, c=gram, lower=True, overwrite_c=True)
        moment += target[rows] @ kernel
    for rows in blocks(len(drawn), QUERY_ROWS):
        # Symmetric: columns of the lower half are as good as rows.
        gram[:, rows] += setting.penalty * matern(centres.squared(fit[drawn[rows]]).both, setting.length).T
    return _solved(gram.T, moment, JITTER)


def _solved(kernel: Values, target: Values, penalty: float) -> Values:
    """Solve (kernel + penalty I) a = target for a, (C,); of the kernel, the upper half is read, and all is overwritten."""
    kernel.flat[:: len(kernel) + 1] += penalty
    factor = linalg.cho_factor(kernel.T, lower=True, overwrite_a=True, check_finite=False)
    solution: Values = linalg.cho_solve(factor, target, check_finite=False)
    return solution


def _flop(data: FitData, centres: int, settings: int) -> float:
    """Floating-point operations of comparing all fit rows with centres and solving by some settings, about."""
    count, width = data.fit.shape
    products = count * centres**2 if centres < count else 0
    return float(2 * width * count * centres + settings * centres**3 / 3 + products)
