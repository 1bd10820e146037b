"""Ridge regression of the log price."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy import linalg

from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.design import blocks
from price_fusion.models.estimators.estimator import Estimator, FitData, Settings, Values
from price_fusion.models.estimators.folder import Description, read_arrays, write_arrays
from price_fusion.models.estimators.threads import threads_for
from price_fusion.parameters import ComparisonParameters

logger = logging.getLogger(__name__)

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Of the squared weights; the stop rows choose one by SMAPE."""


class Ridge(Estimator):
    """Linear in the columns of the design.

    Args:
        description: of it.
        weights: (D,) float32.
        intercept: log price of a row of zeros.
    """

    kind: ClassVar[str] = "ridge"
    file: ClassVar[str] = "weights.safetensors"

    def __init__(self, description: Description, weights: Matrix, intercept: float) -> None:
        super().__init__(description)
        self.weights = weights
        self.intercept = intercept

    @classmethod
    def fit(cls, data: FitData, options: ComparisonParameters, seed: int) -> Self:
        """Fit with each penalty, all of which share one matrix of products; there is nothing random in it."""
        fits = [
            (data.stop_smape(_linear(data.stop, weights, intercept)), penalty, weights, intercept)
            for penalty, weights, intercept in _solutions(data, PENALTIES)
        ]
        error, penalty, weights, intercept = min(fits, key=lambda fit: fit[:2])
        logger.debug("ridge: penalty %g, SMAPE of the stop rows %.2f %%", penalty, error)
        return cls(data.described(penalty=penalty), weights, intercept)

    @classmethod
    def fitted(cls, data: FitData, options: ComparisonParameters, settings: Settings) -> Self:
        """Fit with one penalty."""
        ((_, weights, intercept),) = _solutions(data, [float(settings["penalty"])])  # type: ignore[arg-type]
        return cls(data.described(**settings), weights, intercept)

    @classmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open the weights."""
        arrays = read_arrays(path)
        return cls(description, arrays["weights"], float(arrays["intercept"][0]))

    def write(self, path: Path) -> None:
        """Write the weights."""
        write_arrays(path, {"weights": self.weights, "intercept": np.array([self.intercept])})

    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""
        return _linear(matrix, self.weights, self.intercept)


def _linear(matrix: Matrix, weights: Matrix, intercept: float) -> Values:
    return (matrix @ weights).astype(np.float64) + intercept


def _solutions(data: FitData, penalties: Sequence[float]) -> list[tuple[float, Matrix, float]]:
    """Weights and intercept of the fit rows with each penalty."""
    mean = data.fit.mean(axis=0, dtype=np.float64)
    level = float(data.fit_log_prices.mean())
    # The weights are a sum of the rows: with fewer rows than columns, the equations in rows are the smaller ones.
    equations = _equations_in_rows if len(data.fit) < data.fit.shape[1] else _equations_in_columns
    with threads_for(_flop(data.fit, len(penalties))):
        solve = equations(data.fit, mean.astype(np.float32), data.fit_log_prices - level)
        solved = [(penalty, solve(penalty)) for penalty in penalties]
    return [(penalty, weights, level - float(mean @ weights)) for penalty, weights in solved]


def _flop(matrix: Matrix, penalties: int) -> float:
    """Floating-point operations of the products and of solving with each penalty."""
    smaller = min(matrix.shape)
    return float(2 * matrix.size * smaller + penalties * smaller**3 / 3)


def _equations_in_columns(matrix: Matrix, mean: Matrix, target: Values) -> Callable[[float], Matrix]:
    """A function from penalties to weights: w of (X'X + penalty I) w = X'y, for the centred rows X (N, D)."""
    gram, moment = _products(matrix, mean, target)
    return lambda penalty: _solved(gram, moment, penalty).astype(np.float32)


def _equations_in_rows(matrix: Matrix, mean: Matrix, target: Values) -> Callable[[float], Matrix]:
    """The same weights as X'a of (XX' + penalty I) a = y, which takes N^3 operations instead of D^3."""
    centred = matrix - mean
    gram = (centred @ centred.T).astype(np.float64)
    return lambda penalty: _solved(gram, target, penalty).astype(np.float32) @ centred


def _solved(gram: Values, moment: Values, penalty: float) -> Values:
    """Solve with the lower half of ``gram``."""
    penalised = gram.copy(order="F")
    np.fill_diagonal(penalised, penalised.diagonal() + penalty)
    solution: Values = linalg.solve(penalised, moment, assume_a="pos", lower=True, overwrite_a=True)
    return solution


def _products(matrix: Matrix, mean: Matrix, target: Values) -> tuple[Values, Values]:
    """X'X (D, D), its lower half alone, and X'y (D,) of the centred rows, block by block in float64.

    Products in float32 are off by more than a small penalty where rows are many: X'X is then not positive definite.
    """
    width = matrix.shape[1]
    gram, moment = np.zeros((width, width), order="F"), np.zeros(width)
    for rows in blocks(len(matrix)):
        block = (matrix[rows] - mean).astype(np.float64)
        gram = linalg.blas.dsyrk(1.0, block.T, beta=1.0, c=gram, lower=True, overwrite_c=True)
        moment += target[rows] @ block
    return gram, moment
