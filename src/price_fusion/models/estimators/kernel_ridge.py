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

from price_fusion.errors import TrainingError
from price_fusion.models.estimators.choice import chosen
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.design import QUERY_ROWS, Rows, blocks, drawn, shown_blocks
from price_fusion.models.estimators.estimator import Estimator, FitData, Settings, Values
from price_fusion.models.estimators.folder import Description, read_arrays, write_arrays
from price_fusion.models.estimators.geometry import Geometry
from price_fusion.models.estimators.threads import threads_for
from price_fusion.parameters import ComparisonParameters

logger = logging.getLogger(__name__)

LENGTHS = (0.7, 1.0, 1.4)
"""Length scales of the kernel; two fit rows are the square root of 2 apart on average."""
PENALTIES = (0.03, 0.1, 0.3)
"""Of the kernel's norm, beside a kernel of 1 between equal rows."""
CHOOSING_ROWS = 3_000
"""Fit rows, at random, with which the setting is chosen."""
FEWEST_CENTRES = 2
"""However little the memory."""
CENTRES = 5_000
"""Fit rows, at random, that are centres where all of them would not fit in memory."""
SMALLEST_RESIDUAL = 0.1
"""Of the median residual: smaller ones count as this."""
FARTHEST_RESIDUAL = 4.0
"""Residuals of the log price count as this at most: a price is then off by a factor of 55."""
SINGULAR = (
    "kernel_ridge: the equations of the fit rows have no stable solution. Check the sources for values that are not finite or "
    "many times larger than the others."
)
FACTORS = 3
"""Cholesky factors and inverses of them that fitting takes."""
JITTER = 1e-4
"""Added to the normal equations of centres: without it, those of two equal centres would have no single solution."""


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
    the Nystroem Method to Speed Up Kernel Machines", some of them are, and all fit rows are still fitted. Fitted twice: by
    least squares, and again with rows weighted by their residuals, for SMAPE (``row_penalties``).

    Args:
        description: of it.
        setting: chosen by the stop rows.
        centres: C of the fit rows.
        weights: (C,) of the centres.
        level: log price far from all centres.
    """

    kind: ClassVar[str] = "kernel_ridge"
    revision: ClassVar[int] = 2
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
    def choose(cls, data: FitData, options: ComparisonParameters, seed: int) -> Settings:
        """Choose the setting with some fit rows; the seed draws them, and the centres of ``fitted``."""
        chooser = drawn(data.fit_rows, CHOOSING_ROWS, seed)
        with threads_for(_flop(data, len(chooser), len(LENGTHS) * len(PENALTIES))):
            errors = _errors(data, chooser)
        setting = chosen(errors, USUAL)
        logger.info("kernel_ridge: %s, SMAPE of the stop rows %.2f %%", setting, errors[setting].mean())
        return {**setting._asdict(), "seed": seed}

    @classmethod
    def fitted(cls, data: FitData, options: ComparisonParameters, settings: Settings) -> Self:
        """Fit all fit rows, with all or some of them as centres."""
        setting, seed = Setting.of(settings), int(settings["seed"])  # type: ignore[arg-type]
        exact = max(math.isqrt(int(options.kernel_memory_gb * 1e9 / 8)), FEWEST_CENTRES)
        chosen_rows = drawn(data.fit_rows, exact if data.fit_rows <= exact else min(CENTRES, exact), seed)
        with threads_for(_flop(data, len(chosen_rows), FACTORS)):
            centres = Geometry.of(data.design, data.fit[chosen_rows])
            if len(chosen_rows) < data.fit_rows:
                logger.info("kernel_ridge: %s centres of %s fit rows", f"{len(chosen_rows):,}", f"{data.fit_rows:,}")
                weights, level = _robust(_WithCentres(centres, data.fit, chosen_rows, setting), data, setting)
            else:
                weights, level = _robust(_Exact(centres, data.fit, setting), data, setting)
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
        for rows in shown_blocks(len(matrix), QUERY_ROWS, "predicting with kernel_ridge"):
            kernel = matern(self.centres.squared(matrix[rows]).both, self.setting.length)
            # Not by BLAS, which rounds a row by its place among the others.
            prices[rows] = self.level + (kernel * self.weights).sum(axis=1)
        return prices


def matern(squared: Matrix, length: float) -> Matrix:
    """The Matern kernel of order 3/2 of squared distances, (M, C): ``(1 + r) exp(-r)``, r = sqrt(3 squared) / length."""
    ratio = np.sqrt(squared * np.float32(3 / length**2))
    kernel: Matrix = np.exp(-ratio)
    kernel *= 1 + ratio
    return kernel


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
            penalised = kernel.astype(np.float64)
            np.fill_diagonal(penalised, 1 + penalty)
            weights[Setting(length, penalty)] = _solved(_factored(penalised), target)
    return weights


def _robust(system: _Exact | _WithCentres, data: FitData, setting: Setting) -> tuple[Values, float]:
    """Weights of centres, (C,), and the level: first of least squares, then with the penalties of ``row_penalties``."""
    log_prices = data.fit_log_prices
    penalties = np.full(len(log_prices), setting.penalty)
    target = log_prices - log_prices.mean()
    residuals = system.residuals(target, system.solve(target, penalties))
    penalties = row_penalties(residuals, setting.penalty)
    level = float(np.average(log_prices, weights=1 / penalties))
    return system.solve(log_prices - level, penalties), level


def row_penalties(residuals: Values, penalty: float) -> Values:
    """Penalties of fit rows, (F,), with which least squares have about the lowest SMAPE; ``penalty`` is their geometric mean.

    SMAPE of a residual r of the log price is ``200 |tanh(r / 2)|`` percent. Its minimum by iteratively reweighted least squares
    has weights in proportion to ``1 / (|r| cosh(r / 2)^2)``; the penalties are the reciprocals.

    Args:
        residuals: (F,) of the log prices.
        penalty: of least squares.
    """
    size = np.minimum(np.abs(residuals), FARTHEST_RESIDUAL)
    size = np.maximum(size, SMALLEST_RESIDUAL * np.median(size))
    if not size.all():
        return np.full(len(size), penalty)
    logs = np.log(size) + 2 * np.log(np.cosh(size / 2))
    penalties: Values = penalty * np.exp(logs - logs.mean())
    return penalties


class _Exact:
    """(K + diag(penalties)) a = target, with the kernel K of all fit rows.

    K is symmetric: a solution overwrites its upper half and leaves the lower one.
    """

    def __init__(self, centres: Geometry, fit: Matrix, setting: Setting) -> None:
        self._kernel = np.empty((len(fit), len(fit)))
        self._factor = self._kernel
        for rows in shown_blocks(len(fit), QUERY_ROWS, "kernel_ridge: comparing fit rows"):
            self._kernel[rows] = matern(centres.squared(fit[rows]).both, setting.length)

    def solve(self, target: Values, penalties: Values) -> Values:
        """Weights (C,) that predict the target (F,) with a penalty for each fit row, (F,)."""
        self._restore()
        np.fill_diagonal(self._kernel, 1 + penalties)
        self._factor = _factored(self._kernel)
        return _solved(self._factor, target)

    def residuals(self, target: Values, weights: Values) -> Values:
        """Of the last solution, (F,): each row as the others predict it, ``a_i`` over the diagonal of the inverse (Rasmussen and Williams 2006, 5.4.2)."""
        # The squares of the columns of the factor's inverse sum to the diagonal.
        inverse, problem = linalg.lapack.dtrtri(self._factor, lower=True, overwrite_c=True)
        if problem:
            raise TrainingError(SINGULAR)
        diagonal = np.empty(len(weights))
        for rows in blocks(len(weights), QUERY_ROWS):
            diagonal[rows] = np.square(np.tril(inverse[:, rows], -rows.start)).sum(axis=0)
        left_out: Values = weights / diagonal
        return left_out

    def _restore(self) -> None:
        """Copy the lower half to the upper one."""
        for rows in blocks(len(self._kernel), QUERY_ROWS):
            self._kernel[rows, rows.stop :] = self._kernel[rows.stop :, rows].T
            own = np.tril(self._kernel[rows, rows], -1)
            self._kernel[rows, rows] = own + own.T


class _WithCentres:
    """(K' S K + penalty K_c) a = K' S target, S = diag(penalty / penalties).

    K (F, C) is the kernel of fit rows with centres, K_c (C, C) that of centres alone.
    """

    def __init__(self, centres: Geometry, fit: Matrix, drawn: Rows, setting: Setting) -> None:
        self._centres = centres
        self._fit = fit
        self._drawn = drawn
        self._setting = setting

    def solve(self, target: Values, penalties: Values) -> Values:
        """As of ``_Exact``."""
        count, shares = len(self._centres), self._setting.penalty / penalties
        gram, moment = np.zeros((count, count), order="F"), np.zeros(count)
        for rows in shown_blocks(len(self._fit), QUERY_ROWS, "kernel_ridge: equations of the centres"):
            kernel = self._kernel(self._fit[rows]) * np.sqrt(shares[rows])[:, None]
            gram = linalg.blas.dsyrk(1.0, kernel.T, beta=1.0, c=gram, lower=True, overwrite_c=True)
            moment += (target[rows] * np.sqrt(shares[rows])) @ kernel
        for rows in blocks(count, QUERY_ROWS):
            # Symmetric: columns of the lower half are as good as rows.
            gram[:, rows] += self._setting.penalty * self._kernel(self._fit[self._drawn[rows]]).T
        gram.flat[:: count + 1] += JITTER
        return _solved(_factored(gram.T), moment)

    def residuals(self, target: Values, weights: Values) -> Values:
        """Of the last solution, (F,): each row as it is fitted; with far more rows than centres, nearly as the others predict it."""
        left = np.empty(len(target))
        for rows in shown_blocks(len(target), QUERY_ROWS, "kernel_ridge: residuals of fit rows"):
            left[rows] = target[rows] - self._kernel(self._fit[rows]) @ weights
        return left

    def _kernel(self, rows: Matrix) -> Values:
        return matern(self._centres.squared(rows).both, self._setting.length).astype(np.float64)


def _factored(matrix: Values) -> Values:
    """The lower Cholesky factor of a symmetric matrix, of which the upper half is read and overwritten."""
    try:
        factor, _ = linalg.cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError as error:
        raise TrainingError(SINGULAR) from error
    lower: Values = factor
    return lower


def _solved(factor: Values, target: Values) -> Values:
    """Weights (C,) that solve the equations of a factor."""
    solution: Values = linalg.cho_solve((factor, True), target, check_finite=False)
    return solution


def _flop(data: FitData, centres: int, settings: int) -> float:
    """Floating-point operations of comparing all fit rows with centres and solving by some settings, about."""
    count, width = data.fit.shape
    products = count * centres**2 if centres < count else 0
    return float(2 * width * count * centres + settings * centres**3 / 3 + products)
