"""Retrieval: the log prices of the fit rows that a product is most like.

Shapes: ``F`` stored fit rows, ``M`` products, ``K`` neighbours, ``D`` columns of the design.
"""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from price_fusion.fusion.estimators.base import Estimator, EstimatorOptions, FitData, Values
from price_fusion.fusion.estimators.design import Design, Matrix, blocks
from price_fusion.fusion.estimators.folder import Description, read_arrays, write_arrays

logger = logging.getLogger(__name__)

COLUMN_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the mean squared difference of columns, beside the mean cosine similarity of embeddings."""
NEIGHBOURS = (10, 20, 40, 80)
TEMPERATURES = (0.04, 0.08, 0.15, 0.3, 0.6)
"""Of the softmax over similarities."""
QUERY_ROWS = 512
"""Products compared with all fit rows at a time: four matrices of 140 MB for 70,000 fit rows."""
STORED_ROWS = 4_096
"""Fit rows brought to float32 at a time."""


class Setting(NamedTuple):
    """What the stop rows choose."""

    column_weight: float
    neighbours: int
    temperature: float


class Likeness(NamedTuple):
    """How products compare with all fit rows."""

    cosine: Matrix
    """(M, F) mean cosine similarity over the sources that have an embedding; 0 where one of the two lacks it."""
    difference: Matrix
    """(M, F) mean squared difference of the other columns of the design."""

    def nearest(self, column_weight: float, count: int) -> tuple[NDArray[np.int64], Matrix]:
        """Places and similarities of the most similar fit rows, (M, count), the most similar first."""
        similarity = self.cosine - np.float32(column_weight) * self.difference
        places = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(similarity, places, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        return np.take_along_axis(places, order, axis=1), np.take_along_axis(found, order, axis=1)


class Store:
    """The fit rows that products are compared with.

    Args:
        design: of the matrix.
        matrix: (F, D) float16.
    """

    def __init__(self, design: Design, matrix: NDArray[np.float16]) -> None:
        self.matrix = matrix
        self._embedding = design.is_embedding
        self._embedded = max(design.embedded, 1)
        self._columns = max(int((~self._embedding).sum()), 1)

    def compare(self, queries: Matrix) -> Likeness:
        """Compare rows of the design, (M, D), with all fit rows."""
        # As the fit rows are: a product in both is then nearest to itself.
        queries = queries.astype(np.float16).astype(np.float32)
        shape = (len(queries), len(self.matrix))
        cosine, difference = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for rows in blocks(len(self.matrix), STORED_ROWS):
            stored = self.matrix[rows].astype(np.float32)
            cosine[:, rows] = queries[:, self._embedding] @ stored[:, self._embedding].T
            difference[:, rows] = _squared(queries[:, ~self._embedding], stored[:, ~self._embedding])
        return Likeness(cosine / np.float32(self._embedded), difference / np.float32(self._columns))


class Neighbours(Estimator):
    """Softmax-weighted mean of the log prices of the most similar fit rows.

    Similarity is the mean cosine similarity of the sources' embeddings less a weight times the mean squared difference of
    the scaled columns. Only fit rows are ever retrieved.

    Args:
        description: of it.
        setting: chosen by the stop rows.
        stored: (F, D) float16, the fit rows of the design.
        log_prices: (F,) float64.
    """

    kind: ClassVar[str] = "neighbours"
    file: ClassVar[str] = "neighbours.safetensors"

    def __init__(
        self, description: Description, setting: Setting, stored: NDArray[np.float16], log_prices: Values
    ) -> None:
        super().__init__(description)
        self.setting = setting
        self.stored = stored
        self._log_prices = log_prices

    @classmethod
    def fit(cls, data: FitData, options: EstimatorOptions, seed: int) -> Self:
        """Store the fit rows and choose the setting by SMAPE of the stop rows; there is nothing random in it."""
        stored = data.fit.astype(np.float16)
        guesses = _guesses(Store(data.design, stored), data)
        error, setting = min((data.stop_smape(guess), setting) for setting, guess in guesses.items())
        logger.info("neighbours: %s, SMAPE of the stop rows %.2f %%", setting, error)
        return cls(data.described(**setting._asdict()), setting, stored, data.fit_log_prices.copy())

    def refitted(self, data: FitData, options: EstimatorOptions) -> Self:
        """Store the fit rows, to be compared by the setting that was chosen."""
        described = data.described(**self.setting._asdict())
        return type(self)(described, self.setting, data.fit.astype(np.float16), data.fit_log_prices.copy())

    @classmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open the stored rows."""
        arrays = read_arrays(path)
        return cls(description, Setting(**description.settings), arrays["matrix"], arrays["log_prices"])  # type: ignore[arg-type]

    def write(self, path: Path) -> None:
        """Write the stored rows."""
        write_arrays(path, {"matrix": self.stored, "log_prices": self._log_prices})

    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""
        store = Store(self.design, self.stored)
        prices = np.empty(len(matrix))
        count = min(self.setting.neighbours, len(self.stored))
        for rows in blocks(len(matrix), QUERY_ROWS):
            places, similarity = store.compare(matrix[rows]).nearest(self.setting.column_weight, count)
            prices[rows] = _mean(self._log_prices[places], similarity, self.setting.temperature)
        return prices


def _guesses(store: Store, data: FitData) -> dict[Setting, Values]:
    """Log prices of the stop rows by each setting; rows are compared once for all of them."""
    settings = [Setting(*values) for values in product(COLUMN_WEIGHTS, NEIGHBOURS, TEMPERATURES)]
    guesses = {setting: np.empty(len(data.stop)) for setting in settings}
    count = min(max(NEIGHBOURS), data.fit_rows)
    for rows in blocks(len(data.stop), QUERY_ROWS):
        likeness = store.compare(data.stop[rows])
        nearest = {weight: likeness.nearest(weight, count) for weight in COLUMN_WEIGHTS}
        for setting, guess in guesses.items():
            places, similarity = nearest[setting.column_weight]
            used = slice(0, setting.neighbours)
            guess[rows] = _mean(data.fit_log_prices[places[:, used]], similarity[:, used], setting.temperature)
    return guesses


def _mean(log_prices: Values, similarity: Matrix, temperature: float) -> Values:
    """Softmax-weighted means, (M, K) to (M,)."""
    weights = np.exp((similarity - similarity[:, :1]).astype(np.float64) / temperature)
    mean: Values = (weights * log_prices).sum(axis=1) / weights.sum(axis=1)
    return mean


def _squared(queries: Matrix, stored: Matrix) -> Matrix:
    """Squared distances, (M, K) and (F, K) to (M, F)."""
    lengths = np.square(queries).sum(axis=1)[:, None] + np.square(stored).sum(axis=1)
    distances: Matrix = lengths - 2 * (queries @ stored.T)
    return distances
