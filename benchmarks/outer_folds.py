"""The outer folds of the benchmarks on accuracy: rows to predict, and the rows to do everything else with; and what is predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from price_fusion.data.roles import Roles
from price_fusion.data.splits import split_samples
from price_fusion.parameters import SplittingParameters

OUTER_FOLDS = 5
SEED = 41
"""Of the outer folds and of each model; further seeds follow it."""
FIT_AND_STOP = (0.9, 0.1, 0.0)
"""Shares of the rows outside an outer fold, for models that select something."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class OuterFold:
    """Rows to predict, and the rows to do everything else with."""

    number: int
    split_table: pd.DataFrame
    """``holdout`` are the rows to predict; the others are ``train`` and have inner folds."""
    fit: Rows
    stop: Rows
    """A tenth of the other rows, groups whole: for models that select something."""
    scored: Rows

    @property
    def others(self) -> Rows:
        """Fit and stop rows."""
        return np.union1d(self.fit, self.stop)

    def roles(self, *, selects: bool) -> Roles:
        """For one model."""
        none = self.stop[:0]
        return Roles(self.fit if selects else self.others, self.stop if selects else none, none, self.scored)


@dataclass(frozen=True)
class Predicted:
    """Prices of the rows of an outer fold."""

    prices: NDArray[np.float64]
    seconds: float
    """Of training alone."""
    details: dict[str, Any] = field(default_factory=dict)


def outer_folds(samples: pd.DataFrame, splitting: SplittingParameters) -> list[OuterFold]:
    """All outer folds, each with its inner folds and stop rows."""
    dealt = partial(split_samples, fractions=FIT_AND_STOP, price_quantiles=splitting.price_quantiles, tuned_on={})
    outer = dealt(samples, folds=OUTER_FOLDS, seed=SEED)
    return [
        _outer_fold(number, samples, outer, partial(dealt, folds=splitting.folds, seed=SEED + 1 + number))
        for number in range(OUTER_FOLDS)
    ]


def _outer_fold(
    number: int, samples: pd.DataFrame, outer: pd.DataFrame, deal: Callable[[pd.DataFrame], pd.DataFrame]
) -> OuterFold:
    scored = (outer["fold"] == number).to_numpy()
    others = np.flatnonzero(~scored)
    inner = deal(samples.iloc[others])
    folds = np.full(len(samples), -1)
    folds[others] = inner["fold"]
    table = outer.assign(split=np.where(scored, "holdout", "train"), fold=folds, tuned_on=False)
    stops = (inner["split"] == "validation").to_numpy()
    return OuterFold(number, table, others[~stops], others[stops], np.flatnonzero(scored))
