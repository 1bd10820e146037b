"""The page of one model: how good it is, where it is wrong, whether its intervals hold, and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from price_fusion.command_options import CommandOptions
from price_fusion.data.money import money
from price_fusion.evaluation.amount_effect import amount_effect, effect_in_words
from price_fusion.metrics.bootstrap import Interval, bootstrap_means, interval, mean_interval
from price_fusion.metrics.intervals import interval_columns
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.report.page import Headline, Section, render

DEFINITIONS = Section(
    "Definitions",
    text=(
        "SMAPE: mean of 200 · |predicted - true| / (|predicted| + |true|), from 0 % (exact) to 200 %. The same error counts "
        "more for a cheap product, and a prediction that is too low costs more than one that is too high by the same amount.",
        "MAE: mean absolute error. RMSE: square root of the mean squared error, dominated by a few expensive products. "
        "R2: share of the variance of prices that the model explains; predicting the mean price scores 0, and worse models less.",
        "Bias: mean predicted minus mean true price. Numbers in square brackets: bootstrap 95 % intervals, which resample whole "
        "groups of products that share an image or a text, since these are not independent.",
    ),
)

TRUST = (
    "Each price comes with intervals, which are made to hold as often as they say for products like those that calibrated them. "
    "How often they held here is at the top, with the 95 % interval of that share, which leaves out that the calibration rows are "
    "a sample, too."
)
FEWEST_ROWS = 50
"""Products below which a page warns that its figures are of few."""
NO_INTERVALS = "Prices have no intervals: there were fewer calibration rows than these need."


def model_page(
    name: str,
    results: pd.DataFrame,
    predicts: str,
    currency: str,
    headlines: Sequence[Headline],
    figures: Mapping[str, go.Figure],
    others: Sequence[Section],
    options: CommandOptions,
) -> str:
    """The page as HTML.

    Args:
        name: of the model.
        results: as ``predict_evaluated`` gives them.
        predicts: which model predicts new products, as ``who_predicts`` gives it.
        currency: of the prices.
        headlines: as ``headlines`` gives them.
        figures: with ``true_against_predicted``, ``errors_by_price``, ``residuals`` and ``calibration``.
        others: sections that follow those of the evaluation.
        options: that its commands need.
    """
    split = str(results["split"].iloc[0])
    sections = [
        Section(
            "Quality",
            text=[f"All figures on this page are of the {split} rows, unless they say otherwise.", predicts],
            warnings=_reservations(results, split),
            figures=[figures["true_against_predicted"]],
        ),
        Section(
            "Where it is wrong",
            text=effect_in_words(amount_effect(results)),
            figures=[figures["errors_by_price"], figures["residuals"]],
        ),
        Section(
            "Can a price be trusted",
            text=[TRUST if "price_low" in results else NO_INTERVALS],
            figures=[figures["calibration"]],
        ),
        *others,
        DEFINITIONS,
    ]
    subtitle = f"Measured on {len(results):,} {split} products"
    return render(f"{name}: how good are its prices?", subtitle, currency, headlines, sections, options)


def headlines(
    results: pd.DataFrame,
    groups: NDArray[Any],
    coverage: pd.DataFrame,
    median_price: float,
    currency: str,
    *,
    resamples: int,
    seed: int,
) -> list[Headline]:
    """The numbers that are read first.

    Args:
        results: as ``predict_evaluated`` gives them, N rows, with the bounds of each level of ``coverage``.
        groups: (N,) labels of products that belong together.
        coverage: as ``measure_intervals`` gives it.
        median_price: of the train rows.
        currency: of the prices.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    price, predicted = (results[column].to_numpy(np.float64) for column in ("price", "predicted"))
    found = metrics_with_intervals(price, predicted, groups, resamples=resamples, seed=seed)
    constant = smape_per_product(np.full_like(price, median_price), price).mean()
    shown = [_headline("SMAPE", *found["smape"], "%", more=f"; one price for all: {constant:.1f} %")]
    shown += [_headline(name.upper(), *found[name], currency, is_money=True) for name in ("mae", "rmse")]
    shown += [_headline("R2", *found["r2"]), _headline("Bias", *found["bias"], currency, is_money=True, sign="+")]
    levels = coverage[coverage["group"] == "all"].to_dict(orient="records")
    for row, (low, high) in zip(levels, interval_columns([row["level"] / 100 for row in levels]), strict=True):
        inside = results["price"].between(results[low], results[high]).to_numpy(np.float64)
        share = mean_interval(100.0 * inside, groups, resamples=resamples, seed=seed)
        note = f"[{share.low:.1f}, {share.high:.1f}]; {money(row['mean_width'])} {currency} wide on average"
        shown.append(Headline(f"Inside the {row['level']:g} % interval", f"{row['coverage']:.1f} %", note))
    return shown


def metrics_with_intervals(
    price: NDArray[np.float64], predicted: NDArray[np.float64], groups: NDArray[Any], *, resamples: int, seed: int
) -> dict[str, tuple[float, Interval]]:
    """``smape``, ``mae``, ``rmse``, ``r2`` and ``bias`` with bootstrap intervals, all from the same resamples.

    R2 of equal prices is NaN.

    Args:
        price: (N,) true prices, in currency units.
        predicted: (N,) predicted ones.
        groups: (N,) labels of what belongs together.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    error = predicted - price
    centred = price - price.mean()  # R2 does not depend on where prices begin, but sums of squares lose digits by it
    values = np.column_stack([smape_per_product(predicted, price), np.abs(error), error**2, centred, centred**2, error])
    means = np.vstack([values.mean(axis=0), bootstrap_means(values, groups, resamples=resamples, seed=seed)])
    spread = means[:, 4] - means[:, 3] ** 2
    known = spread > np.finfo(np.float64).eps * means[0, 4]
    statistics = {
        "smape": means[:, 0],
        "mae": means[:, 1],
        "rmse": np.sqrt(means[:, 2]),
        "r2": 1 - means[:, 2] / np.where(known, spread, np.nan),
        "bias": means[:, 5],
    }
    return {name: (float(own[0]), _interval_of_known(own[1:])) for name, own in statistics.items()}


def _interval_of_known(resampled: NDArray[np.float64]) -> Interval:
    """The interval without resamples that have no such number: R2 of equal prices."""
    known = resampled[np.isfinite(resampled)]
    return interval(known) if len(known) else Interval(np.nan, np.nan)


def _headline(
    name: str,
    value: float,
    bounds: Interval,
    unit: str = "",
    *,
    is_money: bool = False,
    more: str = "",
    sign: str = "",
) -> Headline:
    if not np.isfinite(value):
        return Headline(name, "undefined", "all prices are equal")
    shown, low, high = (
        money(one, sign) if is_money else f"{one:{sign}.2f}" for one in (value, bounds.low, bounds.high)
    )
    return Headline(name, f"{shown} {unit}".strip(), f"[{low}, {high}]{more}")


def _reservations(results: pd.DataFrame, split: str) -> list[str]:
    """Why the figures may not be what new products will see."""
    found = []
    if len(results) < FEWEST_ROWS:
        found.append(
            f"these are only {len(results)} products. One of them alone can move the SMAPE by up to {200 / len(results):.0f} points, and "
            "bootstrap intervals of so few are too narrow."
        )
    if split != "holdout":
        found.append(
            "these are validation rows, as the split has no holdout. Something may have been selected, calibrated or fitted on "
            "them; new products will see worse."
        )
    seen = int(results["tuned_on"].sum())
    if seen:
        found.append(f"the prices of {seen:,} of these products were seen by an encoder of a source.")
    return found
