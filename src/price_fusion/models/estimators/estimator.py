"""What all estimators share: the data they are fitted on, prediction of products by place, and the folder on disk.

Shapes: ``N`` products of the features, ``F`` fit rows, ``S`` stop rows, ``M`` rows to predict, ``D`` columns of the design.
Log prices are of a ``PriceScale``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from price_fusion.errors import DataError
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.metrics.price_scale import PriceScale
from price_fusion.models.estimators.contribution import Matrix
from price_fusion.models.estimators.design import QUERY_ROWS, Design, Rows, blocks, fit_design
from price_fusion.models.estimators.folder import Description, write_folder
from price_fusion.models.features import Features
from price_fusion.parameters import ComparisonParameters, Source

Values = NDArray[np.float64]
Settings = Mapping[str, JsonValue]
"""Hyper-parameters of an estimator, by name."""


@dataclass(frozen=True)
class FitData:
    """The fit rows and the stop rows in one matrix, which several estimators may share."""

    design: Design
    matrix: Matrix
    """(F + S, D), fit rows first."""
    log_prices: Values
    """(F + S,)."""
    fit_rows: int
    """F."""
    unit: float = 1.0
    """Of the log prices, in currency units."""

    @cached_property
    def price_scale(self) -> PriceScale:
        """Of the log prices, and the range that follows from the fit rows."""
        return PriceScale.of(np.expm1(self.fit_log_prices) * self.unit, self.unit)

    @property
    def fit(self) -> Matrix:
        """(F, D), a view."""
        return self.matrix[: self.fit_rows]

    @property
    def fit_log_prices(self) -> Values:
        """(F,)."""
        return self.log_prices[: self.fit_rows]

    @property
    def stop(self) -> Matrix:
        """(S, D), a view."""
        return self.matrix[self.fit_rows :]

    @property
    def stop_log_prices(self) -> Values:
        """(S,)."""
        return self.log_prices[self.fit_rows :]

    def described(self, **settings: JsonValue) -> Description:
        """The description of an estimator that is fitted on these rows with such hyper-parameters."""
        return Description(
            design=self.design,
            price_scale=self.price_scale,
            median_log_price=float(np.median(self.fit_log_prices)),
            settings=settings,
        )

    def stop_errors(self, log_prices: Values) -> Values:
        """SMAPE in percent of each prediction for the stop rows, (S,)."""
        guessed = np.expm1(self.price_scale.bounded(log_prices))
        return smape_per_product(guessed, np.expm1(self.stop_log_prices))

    def stop_smape(self, log_prices: Values) -> float:
        """SMAPE in percent of predictions for the stop rows, (S,)."""
        return float(self.stop_errors(log_prices).mean())


class Estimator(ABC):
    """A fitted model on the design of its sources.

    Args:
        description: of it.
    """

    kind: ClassVar[str]
    """Its name in ``ESTIMATORS``."""
    revision: ClassVar[int] = 1
    """Raised when the same data and settings give another model: fold models of before are then fitted again."""
    file: ClassVar[str]
    """What its folder holds beside ``estimator.json``."""

    def __init__(self, description: Description) -> None:
        self.description = description

    @property
    def design(self) -> Design:
        """Of its sources."""
        return self.description.design

    @property
    def sources(self) -> dict[str, Source]:
        """As declared: what ``features_from_tables`` asks for."""
        return {name: design.source for name, design in self.design.sources.items()}

    @property
    def price_scale(self) -> PriceScale:
        """Of its log prices."""
        return self.description.price_scale

    @classmethod
    def choose(cls, data: FitData, options: ComparisonParameters, seed: int) -> Settings:
        """The settings that predict the stop rows best from the fit rows, and the seed if ``fitted`` needs it.

        Each kind has this or ``fit`` of its own: those whose choice makes the estimator as well have ``fit``.
        """
        return cls.fit(data, options, seed).description.settings

    @classmethod
    @abstractmethod
    def fitted(cls, data: FitData, options: ComparisonParameters, settings: Settings) -> Self:
        """Fit on the fit rows with given settings; nothing is chosen.

        Args:
            data: its stop rows are not used.
            options: what fitting may spend; rounds are those of the settings.
            settings: as ``choose`` returns them; the estimator's description has the same.
        """

    @classmethod
    def fit(cls, data: FitData, options: ComparisonParameters, seed: int) -> Self:
        """Fit on the fit rows with the settings that the stop rows choose."""
        return cls.fitted(data, options, cls.choose(data, options, seed))

    @classmethod
    @abstractmethod
    def read(cls, path: Path, description: Description, threads: int) -> Self:
        """Open what ``write`` wrote.

        Raises:
            ValueError: if the file is not what ``write`` writes.
        """

    @abstractmethod
    def write(self, path: Path) -> None:
        """Write the fitted numbers to a file."""

    @abstractmethod
    def predict(self, matrix: Matrix) -> Values:
        """Log prices of rows of the design, (M, D) to (M,)."""

    def log_prices(self, features: Features, rows: Rows, *, whole_blocks: bool = False) -> Values:
        """Log prices of products, (M,); of one that no source knows, the median of the fit rows.

        Args:
            features: of the estimator's sources.
            rows: (M,) places among the features' products, in any order.
            whole_blocks: fill up the last block with copies of the first product: a product then gets the same bits in any order
                and company (but by ``tabicl``).

        Raises:
            AlignmentError, DataError: as ``Design.matrix``.
        """
        products, short = len(rows), -len(rows) % QUERY_ROWS
        if whole_blocks and short:
            rows = np.concatenate([rows, np.repeat(rows[:1], short)])
        logs = np.empty(len(rows))
        for block in blocks(len(rows)):
            logs[block] = self._predicted(self.design.matrix(features, rows[block]))
        return self.price_scale.bounded(logs[:products], self.kind)

    def of_matrix(self, matrix: Matrix) -> Values:
        """As ``log_prices``, of rows of the design, (M, D)."""
        return self.price_scale.bounded(self._predicted(matrix), self.kind)

    def _predicted(self, matrix: Matrix) -> Values:
        return np.where(matrix.any(axis=1), self.predict(matrix), self.description.median_log_price)

    def save(self, folder: Path) -> None:
        """Write the estimator to a folder, from which ``load_estimator`` reads it."""
        write_folder(folder, self.kind, self.file, self.description, self.write)


def fit_data(
    features: Features,
    sources: Mapping[str, Source],
    log_prices: Values,
    fit_rows: Rows,
    stop_rows: Rows,
    unit: float = 1.0,
) -> FitData:
    """Bring fit and stop rows into one matrix.

    Args:
        features: of N products, with each of ``sources``.
        sources: as declared.
        log_prices: (N,); those of other rows are not used.
        fit_rows: (F,) places among the N.
        stop_rows: (S,) places, none of them a fit row; none where nothing is chosen.
        unit: of the log prices, in currency units.

    Raises:
        DataError: if there are no fit rows, a row is both, or the log price of one is not finite.
    """
    rows = np.concatenate([fit_rows, stop_rows])
    prices = np.asarray(log_prices, np.float64)[rows]
    _check(fit_rows, stop_rows, prices)
    design = fit_design(features, sources, fit_rows)
    return FitData(design, design.matrix(features, rows), prices, len(fit_rows), unit)


def _check(fit_rows: Rows, stop_rows: Rows, log_prices: Values) -> None:
    if not len(fit_rows):
        raise DataError(
            f"estimator: 0 fit rows and {len(stop_rows)} stop rows, expected rows to fit. Split the products with train rows "
            "(splitting.proportions)."
        )
    both = np.intersect1d(fit_rows, stop_rows)
    if len(both):
        raise DataError(
            f"estimator: {len(both)} row(s) are to be fitted and to be stopped on, the first row {both[0]}. Stop rows "
            "choose penalties and rounds, so they must be rows that were not used for fitting."
        )
    wrong = np.flatnonzero(~np.isfinite(log_prices))
    if len(wrong):
        row = np.concatenate([fit_rows, stop_rows])[wrong[0]]
        raise DataError(
            f"estimator: the log price of row {row} is {log_prices[wrong[0]]}, expected a finite number ({len(wrong)} such "
            "row(s)). Fit and stop on labelled products only."
        )
