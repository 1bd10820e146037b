"""Weights of the members of an ensemble, fitted on predictions of rows that no member was fitted on.

Members are blended in log space: the weighted mean of log prices is about the weighted geometric mean of prices. SMAPE
is of the prices, in percent.

Shapes: ``N`` products, ``M`` members. Log prices are log1p of the price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from price_fusion.errors import DataError
from price_fusion.metrics.price_metrics import smape_per_product

Values = NDArray[np.float64]
Method = Literal["greedy", "convex"]

MOST_PICKS = 100
"""Of greedy selection."""
LOWEST_WEIGHT = 0.01
"""A member below it is dropped, and need not be run to predict."""
PRIOR_ROWS = 100
"""Rows that equal weights count as; better than none on 100 rows, no worse on 300 (docs/decisions/0011-members.md)."""
CLEARLY_WORSE = 2.0
"""Standard errors by which a member is behind the best one, on the same rows, to have no part in equal weights."""
SMOOTHING = 0.1
"""Relative difference |p - t| / (p + t) below which the smooth SMAPE is round; sharper fits better and predicts no better."""
TIE_DECIMALS = 9
"""Of SMAPE in percent: smaller differences are rounding."""


def blend(log_prices: ArrayLike, weights: ArrayLike) -> Values:
    """Weighted mean of the members' log prices; a product's does not depend on the others.

    Args:
        log_prices: (N, M).
        weights: (M,) at least 0, summing to 1.

    Returns:
        (N,).
    """
    members, shares = np.asarray(log_prices, np.float64), np.asarray(weights, np.float64)
    blended: Values = (members * shares).sum(axis=1)
    return blended


def fit_weights(
    log_prices: ArrayLike,
    true_prices: ArrayLike,
    method: Method,
    names: Sequence[str] | None = None,
    *,
    prior_rows: int = PRIOR_ROWS,
) -> Values:
    """Weights with which the blend has a low SMAPE.

    ``greedy`` is forward selection with replacement (R. Caruana et al., "Ensemble Selection from Libraries of Models",
    ICML 2004): of up to ``MOST_PICKS`` picks the prefix of lowest SMAPE, the shortest of equals. What it finds is never
    worse than the best member. ``convex`` minimises a smooth SMAPE over all weights, from uniform ones and from greedy's, and drops
    members below ``LOWEST_WEIGHT``. What it finds is never worse than uniform weights or the best member. Both hold on the rows
    fitted on; on others, ``cross_fitted_blend`` says. The weights found are averaged with equal ones of all members that are
    not clearly worse than the best: on few rows, the search follows chance.

    Args:
        log_prices: (N, M) predicted by each member for rows that it was not fitted on.
        true_prices: (N,) in currency units, positive.
        method: ``greedy`` or ``convex``.
        names: (M,) of the members, for messages.
        prior_rows: rows that the equal weights count as, against N of the weights found.

    Returns:
        (M,) at least 0, summing to 1.

    Raises:
        DataError: if a prediction is NaN or infinite.
    """
    members, true = _checked(log_prices, true_prices, names)
    greedy = _greedy_weights(members, true)
    found = greedy if method == "greedy" else _convex_weights(members, true, greedy)
    if not prior_rows:
        return found
    equal = _equal_weights(members, true)
    return _without_small((len(true) * found + prior_rows * equal) / (len(true) + prior_rows))


def _equal_weights(members: Values, true: Values) -> Values:
    """Equal weights of the members that are not clearly worse than the best one, (M,)."""
    errors = smape_per_product(np.expm1(members), true[:, None])
    behind = errors - errors[:, [errors.mean(axis=0).argmin()]]
    reach = CLEARLY_WORSE * behind.std(axis=0) / np.sqrt(len(true))
    return _normalised((behind.mean(axis=0) <= reach).astype(np.float64))


def cross_fitted_blend(
    log_prices: ArrayLike,
    true_prices: ArrayLike,
    folds: ArrayLike,
    method: Method,
    names: Sequence[str] | None = None,
) -> Values:
    """Blended log prices of each fold, with weights fitted on the other folds.

    Args:
        log_prices: (N, M) as in ``fit_weights``.
        true_prices: (N,) in currency units.
        folds: (N,) labels, at least two different ones.
        method: as in ``fit_weights``.
        names: as in ``fit_weights``.

    Returns:
        (N,).

    Raises:
        DataError: as in ``fit_weights``.
    """
    members, true = _checked(log_prices, true_prices, names)
    labels = np.asarray(folds)
    blended = np.empty(len(true))
    for label in np.unique(labels):
        inside = labels == label
        blended[inside] = blend(members[inside], fit_weights(members[~inside], true[~inside], method, names))
    return blended


def _greedy_weights(members: Values, true: Values) -> Values:
    total, counts = np.zeros(len(true)), np.zeros(members.shape[1])
    best, lowest = counts.copy(), np.inf
    for picks in range(1, MOST_PICKS + 1):
        candidates = (total[:, None] + members) / picks
        scores = smape_per_product(np.expm1(candidates), true[:, None]).mean(axis=0).round(TIE_DECIMALS)
        pick = int(scores.argmin())
        total += members[:, pick]
        counts[pick] += 1
        if scores[pick] < lowest:
            best, lowest = counts / picks, scores[pick]
    return best


def _convex_weights(members: Values, true: Values, greedy: Values) -> Values:
    """The best of what two searches end at, uniform weights and each member alone."""
    count = members.shape[1]
    uniform = np.full(count, 1 / count)
    searched = [_without_small(_search(members, true, start)) for start in (uniform, greedy)]
    candidates: list[Values] = [*np.eye(count), uniform, *searched]
    scores = [round(_smape(blend(members, weights), true), TIE_DECIMALS) for weights in candidates]
    return candidates[int(np.argmin(scores))]


def _search(members: Values, true: Values, start: Values) -> Values:
    """A local minimum of the smooth SMAPE: it is not convex in the weights, so the start matters."""
    from scipy.optimize import minimize

    found = minimize(
        _smooth_smape,
        start,
        args=(members, true),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 200, "ftol": 1e-9},
    )
    return _normalised(np.clip(found.x, 0, None))


def _smooth_smape(weights: Values, members: Values, true: Values) -> tuple[float, Values]:
    """Mean of sqrt(u^2 + SMOOTHING^2), u = (p - t) / (p + t), and its gradient (M,)."""
    grown = np.exp(members @ weights)
    price = np.maximum(grown - 1, 0.0)
    relative = (price - true) / (price + true)
    rounded = np.hypot(relative, SMOOTHING)
    slope = relative / rounded * 2 * true / np.square(price + true) * np.where(price > 0, grown, 0.0)
    return float(rounded.mean()), slope @ members / len(true)


def _without_small(weights: Values) -> Values:
    return _normalised(np.where(weights >= min(LOWEST_WEIGHT, weights.max()), weights, 0.0))


def _normalised(weights: Values) -> Values:
    normalised: Values = weights / weights.sum()
    return normalised


def _smape(log_prices: Values, true: Values) -> float:
    return float(smape_per_product(np.expm1(log_prices), true).mean())


def _checked(log_prices: ArrayLike, true_prices: ArrayLike, names: Sequence[str] | None) -> tuple[Values, Values]:
    members, true = np.asarray(log_prices, np.float64), np.asarray(true_prices, np.float64)
    rows, columns = np.nonzero(~np.isfinite(members))
    if rows.size:
        member = f"{columns[0]}" if names is None else f"{names[columns[0]]!r}"
        raise DataError(
            f"blend: member {member} predicts {members[rows[0], columns[0]]} for row {rows[0]}, expected finite log prices "
            f"({rows.size} such values in all). Leave out rows or members without predictions."
        )
    return members, true
