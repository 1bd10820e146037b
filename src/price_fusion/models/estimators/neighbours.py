"""Retrieval: the log prices of the fit rows that a product is most like.

Shapes: ``F`` stored fit rows, ``M`` products, ``K`` neighbours, ``D`` columns of the design.
"""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from price_fusion.models.estimators.choice import chosen
from price_fusion.models.estimators.contribution import Amounts, Matrix
from price_fusion.models.estimators.design import QUERY_ROWS, Design, Rows, shown_blocks
from price_fusion.models.estimators.estimator import Estimator, FitData, Settings, Values
from price_fusion.models.estimators.folder import Description, read_arrays, write_arrays
from price_fusion.models.estimators.geometry import Geometry, Squared
from price_fusion.parameters import ComparisonParameters

logger = logging.getLogger(__name__)

COLUMN_WEIGHTS = (0.0, 0.2, 0.4, 0.8)
"""Of the squared distance of columns, beside that of embeddings."""
NEIGHBOURS = (10, 20, 40)
TEMPERATURES = (0.08, 0.12, 0.25)
"""Of the softmax over squared distances."""
MOVES = (0.0, 0.3, 0.6)
"""Of a neighbour's log price for each unit of log amount that the product has more than it."""
FARTHEST_MOVE = 3.0
"""Difference of log amounts that counts at most."""
INCOMPARABLE = 0.5
"""Weight of a neighbour whose amount cannot be compared with the product's, where others are moved."""


class Setting(NamedTuple):
    """What the stop rows choose."""

    column_weight: float
    neighbours: int
    temperature: float
    move: float


USUAL = Setting(column_weight=0.4, neighbours=20, temperature=0.08, move=0.3)
"""Taken unless the stop rows say clearly otherwise."""


class Found(NamedTuple):
    """The nearest fit rows of M products, the nearest first."""

    squared: Matrix
    """(M, K) weighted sums of squared distances."""
    log_prices: Values
    """(M, K)."""
    more: Values
    """(M, K) log amount of the product less that of the neighbour; NaN where they cannot be compared."""

    def mean(self, setting: Setting) -> Values:
        """Log prices of the products, (M,)."""
        used = slice(0, setting.neighbours)
        squared, log_prices = self.squared[:, used], self.log_prices[:, used]
        weights = np.exp((squared[:, :1] - squared).astype(np.float64) / setting.temperature)
        if setting.move:
            more = self.more[:, used]
            weights *= np.where(np.isnan(more), INCOMPARABLE, 1)
            log_prices = log_prices + setting.move * np.nan_to_num(more)
        mean: Values = (weights * log_prices).sum(axis=1) / weights.sum(axis=1)
        return mean


class Store:
    """The fit rows that products are compared with.

    Args:
        design: of the rows.
        rows: F of them.
        log_prices: (F,).
        amounts: (F,), None if no source says them.
    """

    def __init__(self, design: Design, rows: Geometry, log_prices: Values, amounts: Amounts | None) -> None:
        self._design = design
        self.rows = rows
        self._log_prices = log_prices
        self._amounts = amounts

    @classmethod
    def of(cls, design: Design, matrix: Matrix, log_prices: Values) -> Self:
        """Store rows of the design, (F, D)."""
        return cls(design, Geometry.of(design, matrix), log_prices.copy(), design.amounts(matrix))

    @classmethod
    def read(cls, design: Design, arrays: dict[str, NDArray[Any]]) -> Self:
        """From ``arrays``."""
        amounts = Amounts(arrays["amounts"], arrays["kinds"]) if "amounts" in arrays else None
        return cls(design, Geometry.read(design, arrays), arrays["log_prices"], amounts)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to write to disk."""
        amounts = {} if self._amounts is None else {"amounts": self._amounts.logs, "kinds": self._amounts.kinds}
        return self.rows.arrays | {"log_prices": self._log_prices} | amounts

    def nearest(self, queries: Matrix, squared: Squared, column_weight: float, count: int) -> Found:
        """The ``count`` nearest fit rows of products that were compared with all, or all of them if they are fewer."""
        count = min(count, len(self.rows))
        both = squared.embeddings + np.float32(column_weight) * squared.columns
        places = np.argpartition(both, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(both, places, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        places = np.take_along_axis(places, order, axis=1)
        return Found(np.take_along_axis(found, order, axis=1), self._log_prices[places], self._more(queries, places))

    def _more(self, queries: Matrix, places: Rows) -> Values:
        own = self._design.amounts(queries)
        if own is None or self._amounts is None:
            return np.full(places.shape, np.nan)
        more = np.clip(own.logs[:, None] - self._amounts.logs[places], -FARTHEST_MOVE, FARTHEST_MOVE)
        alike: Values = np.where(own.kinds[:, None] == self._amounts.kinds[places], more, np.nan)
        return alike


class Neighbours(Estimator):
    """Softmax-weighted mean of the log prices of the nearest fit rows, each moved by how much more of it the product is.

    Only fit rows are ever retrieved.

    Args:
        description: of it.
        setting: chosen by the stop rows.
        store: the fit rows.
    """

    kind: ClassVar[str] = "neighbours"
    revision: ClassVar[int] = 2
    file: ClassVar[str] = "neighbours.safetensors"

    def __init__(self, description: Description, setting: Setting, store: Store) -> None:
        super().__init__(description)
        self.setting = setting
        self.store = store

    @classmethod
    def choose(cls, data: FitData, options: ComparisonParameters, seed: int) -> Settings:
        """Choose the setting by SMAPE of the stop rows; there is nothing random in it."""
        store = Store.of(data.design, data.fit, data.fit_log_prices)
        errors = {setting: data.stop_errors(guess) for setting, guess in _guesses(store, data).items()}
        setting = chosen(errors, USUAL if USUAL in errors else USUAL._replace(move=0.0))
        logger.info("neighbours: %s, SMAPE of the stop rows %.2f %%", setting, errors[setting].mean())
        return setting._asdict()

    @classmethod
    def fitted(cls, data: FitData, options: ComparisonParameters, settings: Settings) -> Self:
        """Store the fit rows."""
        store = Store.of(data.design, data.fit, data.fit_log_prices)
        return cls(data.described(**settings), Setting(**settings), store)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open the stored rows."""
        setting = Setting(**description.settings)  # type: ignore[arg-type]
        return cls(description, setting, Store.read(description.design, read_arrays(path)))

    def write(self, path: Path) -> None:
        """Write the stored rows."""
        write_arrays(path, self.store.arrays)

    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""
        prices = np.empty(len(matrix))
        for rows in shown_blocks(len(matrix), QUERY_ROWS, "predicting with neighbours"):
            queries = matrix[rows]
            squared = self.store.rows.squared(queries)
            found = self.store.nearest(queries, squared, self.setting.column_weight, self.setting.neighbours)
            prices[rows] = found.mean(self.setting)
        return prices


def _guesses(store: Store, data: FitData) -> dict[Setting, Values]:
    """Log prices of the stop rows by each setting; rows are compared once for all of them."""
    moves = MOVES if data.design.amounts(data.fit[:1]) else (0.0,)
    settings = [Setting(*values) for values in product(COLUMN_WEIGHTS, NEIGHBOURS, TEMPERATURES, moves)]
    guesses = {setting: np.empty(len(data.stop)) for setting in settings}
    for rows in shown_blocks(len(data.stop), QUERY_ROWS, "choosing the setting of neighbours"):
        queries = data.stop[rows]
        squared = store.rows.squared(queries)
        nearest = {weight: store.nearest(queries, squared, weight, max(NEIGHBOURS)) for weight in COLUMN_WEIGHTS}
        for setting, guess in guesses.items():
            guess[rows] = nearest[setting.column_weight].mean(setting)
    return guesses
