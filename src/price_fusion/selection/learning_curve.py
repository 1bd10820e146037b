"""What more labelled products would bring: SMAPE of ridge regressions on parts of the train rows, and its power law.

The error of a model falls about as a power of the number of rows it is fitted on: J. Hestness et al., "Deep Learning Scaling
is Predictable, Empirically", arXiv:1712.00409, 2017. The exponents of this project's models are close to each other
(docs/benchmarks.md), so that the cheapest of them stands for all.

Shapes: ``N`` evaluated products, ``S`` sizes, ``F`` fits, ``R`` resamples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from price_fusion.data.splits import evaluated_split
from price_fusion.data.table import EmbeddingTable
from price_fusion.evaluation.baselines import SplitFeatures
from price_fusion.metrics.bootstrap import bootstrap_means, difference, interval
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.parameters import ComparisonParameters
from price_fusion.selection.own_ridges import RIDGE

Values = NDArray[np.float64]

PARTS = (4, 2, 1)
"""Into how many parts the train rows are dealt, for each size; each part has a fit of its own."""
FEWEST_ROWS = 25
"""Train rows of the smallest part: with fewer, the penalty that chance picks decides the error."""


def learning_curve(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    *,
    options: ComparisonParameters,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """SMAPE of ridges on a quarter, half and all of the train rows, and what twice the rows would bring.

    Each part is every fourth, or every second, train row in canonical order, which is random; all parts are fitted.
    Intervals are over groups of evaluated products and over draws of the train rows, as the quarters show these: that of the
    gain is of the gain to expect, from which a single draw differs by more.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        tables: the sources to fit on.
        options: what fitting may spend.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        ready for JSON: ``model``, ``split``, ``sizes`` (a mapping for each, the smallest first: ``rows`` of a fit, ``fits``,
        ``smape``, ``smape_low``, ``smape_high``), and ``twice``: ``rows``, ``smape``, and by how many points of SMAPE that is
        lower, ``gain``, ``gain_low``, ``gain_high``. No sizes and no ``twice`` where a part has too few rows.
    """
    split = evaluated_split(split_table)
    document: dict[str, Any] = {"model": RIDGE, "split": split, "sizes": [], "twice": None}
    products = SplitFeatures.of(samples, split_table, tables)
    rows = [len(products.train) // parts for parts in PARTS]
    if rows[0] < FEWEST_ROWS:
        return document
    evaluated = samples.iloc[products.evaluated]
    price = evaluated["price"].to_numpy(np.float64)
    sources = tuple(tables)
    fits = [
        smape_per_product(products.ridge_prices(sources, options, seed, fit=products.train[part::parts]), price)
        for parts in PARTS
        for part in range(parts)
    ]
    means = bootstrap_means(np.column_stack(fits), evaluated["group_key"].to_numpy(), resamples=resamples, seed=seed)
    observed = _by_size(np.array([[fit.mean() for fit in fits]]))
    resampled = _by_size(means) + _noise_of_draws(means, np.random.default_rng([seed, len(PARTS)]))
    for size, parts in enumerate(PARTS):
        low, high = interval(resampled[size])
        smape = {"smape": float(observed[size, 0]), "smape_low": low, "smape_high": high}
        document["sizes"].append({"rows": rows[size], "fits": parts, **smape})
    twice = with_twice_the_rows(rows, observed)
    gain = difference(float((observed[-1] - twice)[0]), resampled[-1] - with_twice_the_rows(rows, resampled))
    document["twice"] = {
        "rows": 2 * rows[-1],
        "smape": float(twice[0]),
        "gain": gain.mean,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }
    return document


def power_law(rows: ArrayLike, smape: ArrayLike) -> Values:
    """Exponent and log factor, (2,) or (2, R), of SMAPE as a power of the rows, by least squares of the logs.

    Args:
        rows: (S,) that models were fitted on.
        smape: (S,) or (S, R) in percent.
    """
    return np.polyfit(np.log(np.asarray(rows, np.float64)), np.log(np.asarray(smape, np.float64)), 1)


def with_twice_the_rows(rows: ArrayLike, smape: ArrayLike) -> Values:
    """SMAPE in percent, a number or (R,), that the power law says of twice as many rows as the last size has.

    Args:
        rows: (S,) that models were fitted on, the most last.
        smape: (S,) or (S, R) in percent.
    """
    exponent, level = power_law(rows, smape)
    twice: Values = np.exp(level + exponent * np.log(2 * np.asarray(rows)[-1]))
    return twice


def _by_size(means: Values) -> Values:
    """Means (R, F) of the fits as means (S, R) of the sizes."""
    ends = np.cumsum(PARTS)
    return np.stack([means[:, end - parts : end].mean(axis=1) for end, parts in zip(ends, PARTS, strict=True)])


def _noise_of_draws(means: Values, generator: np.random.Generator) -> Values:
    """What another draw of train rows would change at each size, (S, R), of the means (R, F) of the fits.

    The variance that a draw brings is taken to fall as 1 / rows. That of the mean over the parts is then the same for each
    size, and the mean over the smallest parts, drawn with replacement, has it.
    """
    parts = PARTS[0]
    deviations = means[:, :parts] - means[:, :parts].mean(axis=1, keepdims=True)
    drawn = [np.take_along_axis(deviations, generator.integers(parts, size=deviations.shape), axis=1) for _ in PARTS]
    return np.stack([one.mean(axis=1) for one in drawn]) * math.sqrt(parts / (parts - 1))
