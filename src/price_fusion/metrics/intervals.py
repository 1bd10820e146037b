"""Conformal price intervals: how far true log prices fell from predicted ones decides how wide a price is stated.

A conformal predictive system (V. Vovk et al., "Nonparametric predictive distributions based on conformal prediction",
*Machine Learning*, 2019), by the library crepes: normalised, and Mondrian by bins of the predicted log price. An interval
runs between two ranks of residuals, so it is as skewed as they are: what is predicted cheap is more often more expensive than predicted.

The bins hold equal numbers of calibration rows. Each gives the mean residual and the mean absolute deviation from it;
between the bins' medians both are interpolated, beyond the outer ones they are constant. Residuals are standardised by
them before they are ranked. As centre and scale are of the rows that are ranked, the guarantee of coverage is not exact; on
simulated prices nothing of it is seen to be lost.

Shapes: ``N`` calibration rows, ``M`` products, ``L`` levels, ``K`` bins. Log prices are of a ``PriceScale``; levels are fractions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from price_fusion.errors import DataError, ParameterError
from price_fusion.lazy import pd
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.metrics.price_scale import BEFORE, PriceScale

Values = NDArray[np.float64]

MIN_ROWS = 20
"""Calibration rows below which residuals say next to nothing."""
BIN_ROWS = 200
"""Calibration rows that each bin holds at least, unless there is but one: enough for levels up to 99 %."""
MOST_BINS = 8
LOWEST_SCALE = 1e-6
"""In log price: below it residuals are rounding."""
ROUNDING = 1e-9
"""In percent: ranks that are whole numbers but for binary rounding are taken as whole."""
JUDGED_ROWS = 200
"""Products below which a group's coverage is too much chance to be judged: at 80 % its standard error is 3 points."""
ALL = "all"


@dataclass(frozen=True, eq=False)
class Calibration:
    """What rows that no model was fitted on said of its errors: all that intervals need, in any order of the rows.

    Raises:
        DataError: if there are fewer than ``MIN_ROWS``, or the arrays are not of one length, or not finite.
    """

    log_prices: Values
    """(N,) predicted."""
    residuals: Values
    """(N,) true log price minus predicted."""

    def __post_init__(self) -> None:
        shapes = self.log_prices.shape, self.residuals.shape
        if shapes[0] != shapes[1] or len(shapes[0]) != 1:
            raise DataError(
                f"calibration: log prices of shape {shapes[0]} and residuals of shape {shapes[1]}, expected both (rows,). "
                "Give one residual per predicted log price."
            )
        if len(self.residuals) < MIN_ROWS:
            raise DataError(
                f"calibration: {len(self.residuals)} rows, expected at least {MIN_ROWS}. Calibrate on more "
                "rows (splitting.proportions, splitting.folds)."
            )
        _refuse_non_finite(self.log_prices, "log_prices")
        _refuse_non_finite(self.residuals, "residuals")


@dataclass(frozen=True)
class _LocalErrors:
    """Centre and scale of the residuals as functions of the predicted log price."""

    edges: Values
    """(K - 1,) log prices that part the bins; a bin holds its lower edge."""
    knots: Values
    """(K,) median log price of each bin."""
    centres: Values
    """(K,)."""
    scales: Values
    """(K,) positive."""

    def bins(self, log_prices: Values) -> NDArray[np.int64]:
        return np.searchsorted(self.edges, log_prices, side="right")

    def centre(self, log_prices: Values) -> Values:
        return np.interp(log_prices, self.knots, self.centres)

    def scale(self, log_prices: Values) -> Values:
        return np.interp(log_prices, self.knots, self.scales)


def calibrate(log_prices: ArrayLike, true_prices: ArrayLike, scale: PriceScale = BEFORE) -> Calibration:
    """What rows that no model was fitted on say of its errors.

    Args:
        log_prices: (N,) predicted.
        true_prices: (N,) in currency units.
        scale: of the log prices.

    Raises:
        DataError: if a true price is not a positive number, or as in ``Calibration``.
    """
    predicted, true = np.asarray(log_prices, np.float64), np.asarray(true_prices, np.float64)
    bad = np.flatnonzero(~(np.isfinite(true) & (true > 0)))
    if bad.size:
        raise DataError(
            f"calibration: true price of row {bad[0]} is {true.flat[bad[0]]}, expected a positive number "
            f"({bad.size} rows in all). Leave such rows out."
        )
    if predicted.shape != true.shape:
        raise DataError(
            f"calibration: log prices of shape {predicted.shape} and true prices of shape {true.shape}, expected the "
            "same. Give the true price of each prediction."
        )
    return Calibration(predicted, scale.logs(true) - predicted)


def price_intervals(
    calibration: Calibration, log_prices: ArrayLike, levels: Sequence[float], scale: PriceScale = BEFORE
) -> Values:
    """Intervals that hold the true prices of new products as often as each level says.

    An interval of a higher level contains that of a lower one, and each contains the predicted price: where the ranks
    alone would leave it out, as they may at low levels, the interval is widened to it.

    Args:
        calibration: residuals of the same model.
        log_prices: (M,) predicted.
        levels: (L,) between 0 and 1.
        scale: of the log prices.

    Returns:
        (M, L, 2) low and high in currency units, within the range of the scale.

    Raises:
        ParameterError: if a level is not between 0 and 1.
        DataError: if there are too few calibration rows for a level, or a log price is not finite.
    """
    predicted = np.asarray(log_prices, np.float64)
    _refuse_non_finite(predicted, "log_prices to be given intervals")
    _refuse_levels(levels)
    local = _local_errors(calibration)
    ranked = _ranked_errors(calibration, local, levels)[local.bins(predicted)]
    middle, spread = predicted + local.centre(predicted), local.scale(predicted)
    bounds = middle[:, None, None] + spread[:, None, None] * ranked
    bounds[..., 0] = np.minimum(bounds[..., 0], predicted[:, None])
    bounds[..., 1] = np.maximum(bounds[..., 1], predicted[:, None])
    return scale.prices(bounds)


def marginal_interval(calibration: Calibration, levels: Sequence[float], scale: PriceScale = BEFORE) -> Values:
    """Intervals of a product of which nothing is known: quantiles of the calibration rows' true prices, (L, 2) in currency units."""
    true = np.expm1(calibration.log_prices + calibration.residuals) * scale.unit
    tails = [(1 - level) / 2 for level in levels]
    bounds: Values = np.quantile(true, [[tail, 1 - tail] for tail in tails])
    return np.clip(bounds, scale.lowest, scale.highest)


def interval_columns(levels: Sequence[float]) -> list[tuple[str, str]]:
    """Names of the columns of each level: ``price_low`` and ``price_high`` of the first, with a percentage of the others."""
    suffixes = ["" if number == 0 else f"_{_percent(level):g}" for number, level in enumerate(levels)]
    return [(f"price_low{suffix}", f"price_high{suffix}") for suffix in suffixes]


def rows_needed(level: float) -> int:
    """Calibration rows that each bin must hold for an interval of a level to be finite on both sides."""
    return math.ceil(round(2 / (1 - level), 6)) - 1


def rows_to_calibrate(levels: Sequence[float]) -> int:
    """Calibration rows that a model must have to give intervals of such levels at all."""
    return max(MIN_ROWS, *(rows_needed(level) for level in levels))


def coverage_table(
    predicted: ArrayLike,
    true: ArrayLike,
    intervals: NDArray[np.floating],
    levels: Sequence[float],
    price_groups: PriceGroups,
) -> pd.DataFrame:
    """How often intervals hold the true price and how wide they are, overall and by bin of the predicted price.

    Bins are of the predicted price, which is known when an interval is given: no method holds its level in bins of the
    true price.

    Args:
        predicted: (M,) in currency units.
        true: (M,) in currency units.
        intervals: (M, L, 2) low and high in currency units.
        levels: (L,) between 0 and 1.
        price_groups: whose bins to take.

    Returns:
        per level a row for ``all`` and one per bin: ``level`` in percent, ``group``, ``rows``, ``coverage`` in percent,
        ``mean_width`` in currency units, ``relative_width``, the median of high / low; empty bins are listed with 0 rows.
    """
    place = price_groups.bins_of(predicted)
    true = np.asarray(true, np.float64)
    groups = {ALL: np.ones(len(true), dtype=bool)}
    groups |= {label: place == number for number, label in enumerate(price_groups.labels)}
    rows = [
        {"level": _percent(level), "group": group} | _coverage(true[inside], intervals[inside, number])
        for number, level in enumerate(levels)
        for group, inside in groups.items()
    ]
    return pd.DataFrame(rows, columns=["level", "group", "rows", "coverage", "mean_width", "relative_width"])


def coverage_summary(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The main numbers of a coverage table, ready for JSON.

    Returns:
        per level in percent, as a text: ``rows``, ``coverage`` in percent and ``mean_width`` in currency units overall;
        ``largest_deviation``, coverage minus level, in points, of the bin of at least ``JUDGED_ROWS`` rows where it is
        furthest from 0, and that ``bin``; both None where no bin has as many.
    """
    rows = table.to_dict("records")
    bins = [row for row in rows if row["group"] != ALL and row["rows"] >= JUDGED_ROWS]
    return {
        f"{overall['level']:g}": _level_summary(overall, [row for row in bins if row["level"] == overall["level"]])
        for overall in rows
        if overall["group"] == ALL
    }


def _local_errors(calibration: Calibration) -> _LocalErrors:
    # Sorted, so that sums do not depend on the order of the rows, not even in the last bit.
    order = np.lexsort((calibration.residuals, calibration.log_prices))
    log_prices, residuals = calibration.log_prices[order], calibration.residuals[order]
    edges = _bin_edges(log_prices)
    starts = np.searchsorted(log_prices, edges, side="left")
    parts = np.split(residuals, starts)
    return _LocalErrors(
        edges=edges,
        knots=np.array([np.median(part) for part in np.split(log_prices, starts)]),
        centres=np.array([part.mean() for part in parts]),
        scales=np.array([max(float(np.abs(part - part.mean()).mean()), LOWEST_SCALE) for part in parts]),
    )


def _bin_edges(log_prices: Values) -> Values:
    """(K - 1,) quantiles; fewer bins where equal predictions would leave one of them short of rows."""
    for bins in range(min(MOST_BINS, len(log_prices) // BIN_ROWS), 1, -1):
        edges = np.quantile(log_prices, np.arange(1, bins) / bins)
        held = np.bincount(np.searchsorted(edges, log_prices, side="right"), minlength=bins)
        if held.min() >= BIN_ROWS:
            return edges
    return np.empty(0)


def _ranked_errors(calibration: Calibration, local: _LocalErrors, levels: Sequence[float]) -> Values:
    """(K, L, 2) standardised residuals between which each level lies in each bin."""
    log_prices = calibration.log_prices
    place, bins = local.bins(log_prices), len(local.knots)
    _refuse_few_rows(int(np.bincount(place).min()), bins, levels)
    system = _predictive_system()
    system.fit(calibration.residuals - local.centre(log_prices), sigmas=local.scale(log_prices), bins=place)
    # Asked for one product a bin, of prediction 0 and scale 1, and scaled by us: for M products it takes M x N steps.
    ranked = system.predict(
        np.zeros(bins),
        sigmas=np.ones(bins),
        bins=np.arange(bins),
        lower_percentiles=[_percent((1 - level) / 2) + ROUNDING for level in levels],
        higher_percentiles=[_percent((1 + level) / 2) - ROUNDING for level in levels],
    )
    return np.stack([ranked[:, : len(levels)], ranked[:, len(levels) :]], axis=-1)


def _predictive_system() -> Any:
    # crepes tells Python to show every UserWarning, of whatever package, each time: not beyond this block.
    with warnings.catch_warnings():
        from crepes import ConformalPredictiveSystem
    return ConformalPredictiveSystem()


def _coverage(true: Values, intervals: NDArray[np.floating]) -> dict[str, float]:
    if not len(true):
        return {"rows": 0}
    low, high = intervals[:, 0], intervals[:, 1]
    return {
        "rows": len(true),
        "coverage": 100 * float(np.mean((low <= true) & (true <= high))),
        "mean_width": float(np.mean(high - low)),
        "relative_width": float(np.median(high / low)),
    }


def _level_summary(overall: Mapping[Hashable, Any], bins: Sequence[Mapping[Hashable, Any]]) -> dict[str, Any]:
    deviations = {row["group"]: row["coverage"] - row["level"] for row in bins}
    worst = max(deviations, key=lambda group: abs(deviations[group]), default=None)
    return {
        "rows": overall["rows"],
        "coverage": overall["coverage"],
        "mean_width": overall["mean_width"],
        "largest_deviation": deviations.get(worst),
        "bin": worst,
    }


def _percent(fraction: float) -> float:
    """Free of binary rounding: 10, where 100 * (1 - 0.8) / 2 is a bit less."""
    return round(100 * fraction, 9)


def _refuse_levels(levels: Sequence[float]) -> None:
    wrong = [level for level in levels if not 0 < level < 1]
    if wrong or not len(levels):
        found = wrong[0] if wrong else "none"
        raise ParameterError(f"interval level: found {found}, expected fractions between 0 and 1. Write 80 % as 0.8.")


def _refuse_few_rows(fewest: int, bins: int, levels: Sequence[float]) -> None:
    level = max(levels)
    needed = rows_needed(level)
    if fewest < needed:
        where = "" if bins == 1 else f" in the smallest of {bins} bins"
        raise DataError(
            f"interval level {level:g}: {fewest} calibration rows{where}, expected at least {needed}. Calibrate on more "
            f"rows (splitting.proportions), or let intervals.levels be at most {math.floor(1e4 * (1 - 2 / (fewest + 1))) / 1e4:g}."
        )


def _refuse_non_finite(values: Values, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"{name}: row {bad[0]} is {values.flat[bad[0]]}, expected finite numbers ({bad.size} rows in all). "
            "Leave out rows without a prediction."
        )
