"""Figures that are merged from those of parts: sums, the best and worst of all, and sketches of quantiles.

What a part remembers of its rows is of a fixed size, whatever their number, and JSON can hold it. Parts are merged in their
order, so that the same parts give the same bits, whoever computed them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.buckets.sketches import merged_sketch, quantile, sketch
from price_fusion.lazy import pd
from price_fusion.metrics.intervals import ALL, interval_columns
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.metrics.price_metrics import smape_per_product

Values = NDArray[np.floating]
Moments = Mapping[str, float]


# --- sums --------------------------------------------------------------------------------------------------------------


def moments(predicted: Values, true: Values) -> dict[str, float]:
    """What all metrics of N products follow from: sums, and mean, spread and bounds of the true prices."""
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    error = predicted - true
    mean = float(true.mean()) if len(true) else 0.0
    return {
        "rows": len(true),
        "smape": float(smape_per_product(predicted, true).sum()),
        "absolute": float(np.abs(error).sum()),
        "squared": float(np.square(error).sum()),
        "predicted": float(predicted.sum()),
        "true_mean": mean,
        "true_spread": float(np.square(true - mean).sum()),
        # Equal prices have no spread, but their mean may differ from them in the last bit.
        "lowest": float(true.min(initial=np.finfo(np.float64).max)),
        "highest": float(true.max(initial=0.0)),
    }


def merged_moments(parts: Iterable[Moments]) -> dict[str, float]:
    """Moments of all products of some parts.

    The spread is merged as by T. F. Chan et al., "Updating formulae and a pairwise algorithm for computing sample variances",
    1979.
    """
    total = moments(np.empty(0), np.empty(0))
    for part in parts:
        rows = total["rows"] + part["rows"]
        if not part["rows"]:
            continue
        shift = part["true_mean"] - total["true_mean"]
        total["true_spread"] += part["true_spread"] + shift**2 * total["rows"] * part["rows"] / rows
        total["true_mean"] += shift * part["rows"] / rows
        for name in ("smape", "absolute", "squared", "predicted"):
            total[name] += part[name]
        total["lowest"] = min(total["lowest"], part["lowest"])
        total["highest"] = max(total["highest"], part["highest"])
        total["rows"] = rows
    return total


def metrics_of(found: Moments) -> dict[str, float]:
    """``smape``, ``mae``, ``rmse`` and ``r2``, as ``metrics.price_metrics.price_metrics`` gives them."""
    rows = found["rows"]
    spread = found["true_spread"] if found["lowest"] < found["highest"] else 0.0
    return {
        "smape": found["smape"] / rows,
        "mae": found["absolute"] / rows,
        "rmse": math.sqrt(found["squared"] / rows),
        "r2": 1 - found["squared"] / spread if spread > 0 else math.nan,
    }


def moments_by_price(predicted: Values, true: Values, groups: PriceGroups) -> dict[str, dict[str, dict[str, float]]]:
    """Moments by bin and by range of the true price; groups without products are left out."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for grouping, labels, inner_edges in groups.groupings:
        place = np.searchsorted(np.asarray(inner_edges), true, side="right")
        found[grouping] = {
            label: moments(predicted[place == number], true[place == number])
            for number, label in enumerate(labels)
            if (place == number).any()
        }
    return found


def metrics_by_price_of(parts: Sequence[Mapping[str, Mapping[str, Moments]]], groups: PriceGroups) -> pd.DataFrame:
    """The table of ``metrics.price_metrics.metrics_by_price`` from the ``moments_by_price`` of parts."""
    rows = []
    for grouping, labels, _ in groups.groupings:
        for label in labels:
            found = merged_moments(part[grouping][label] for part in parts if label in part[grouping])
            row: dict[str, object] = {"grouping": grouping, "group": label, "rows": int(found["rows"])}
            if found["rows"]:
                row |= {"mean_true": found["true_mean"], "mean_predicted": found["predicted"] / found["rows"]}
                row |= metrics_of(found)
            rows.append(row)
    columns = ["grouping", "group", "rows", "mean_true", "mean_predicted", "smape", "mae", "rmse", "r2"]
    return pd.DataFrame(rows, columns=columns)


# --- ratios ------------------------------------------------------------------------------------------------------------


def ratio_sums(ratios: Values) -> dict[str, Any]:
    """What ``amount_effect_of`` needs to know of price ratios."""
    return {"rows": len(ratios), "lower": int((ratios < 1).sum()), "ratios": sketch(ratios)}


def amount_effect_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What ``evaluation.amount_effect`` gives, from the ``ratio_sums`` of parts."""
    rows = sum(part["rows"] for part in parts)
    if not rows:
        return None
    return {
        "rows": rows,
        "lower": 100 * sum(part["lower"] for part in parts) / rows,
        "median_ratio": quantile(merged_sketch(part["ratios"] for part in parts), 0.5),
    }


# --- extremes ----------------------------------------------------------------------------------------------------------


def extremes(results: pd.DataFrame, most: int) -> dict[str, list[dict[str, Any]]]:
    """The products with the highest and the lowest SMAPE, ties by their place in the file; ready for JSON.

    Args:
        results: evaluated products with ``smape`` and ``row``.
        most: of each.
    """
    best = results.sort_values(["smape", "row"]).head(most)
    worst = results.sort_values(["smape", "row"], ascending=False).head(most)
    return {"worst": _records(worst), "best": _records(best)}


def merged_extremes(parts: Sequence[Mapping[str, list[dict[str, Any]]]], most: int) -> pd.DataFrame:
    """The extremes of all parts: ``extreme``, then the columns of the results."""
    tables = []
    for kind, ascending in (("worst", False), ("best", True)):
        records = [record for part in parts for record in part[kind]]
        table = pd.DataFrame(records).sort_values(["smape", "row"], ascending=ascending).head(most)
        table.insert(0, "extreme", kind)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in record.items()} for record in table.to_dict("records")]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


# --- intervals ---------------------------------------------------------------------------------------------------------


def coverage_sums(
    results: pd.DataFrame, levels: Sequence[float], groups: PriceGroups
) -> dict[str, dict[str, dict[str, Any]]]:
    """What the coverage table of intervals follows from, by level and bin of the predicted price."""
    true = results["price"].to_numpy(np.float64)
    place = groups.bins_of(results["predicted"])
    found = {}
    for level, (low_name, high_name) in zip(levels, interval_columns(levels), strict=True):
        low, high = results[low_name].to_numpy(np.float64), results[high_name].to_numpy(np.float64)
        found[str(level)] = {
            label: _coverage(true[inside], low[inside], high[inside])
            for number, label in enumerate(groups.labels)
            if (inside := place == number).any()
        }
    return found


def coverage_table_of(
    parts: Sequence[Mapping[str, Mapping[str, Mapping[str, Any]]]], levels: Sequence[float], price_groups: PriceGroups
) -> pd.DataFrame:
    """The table of ``metrics.intervals.coverage_table`` from the ``coverage_sums`` of parts."""
    rows = []
    for level in levels:
        groups = [part[str(level)] for part in parts]
        for label in (ALL, *price_groups.labels):
            found = [one for group in groups for name, one in group.items() if label in (ALL, name)]
            rows.append({"level": round(100 * level, 9), "group": label} | _merged_coverage(found))
    return pd.DataFrame(rows, columns=["level", "group", "rows", "coverage", "mean_width", "relative_width"])


def _coverage(true: Values, low: Values, high: Values) -> dict[str, Any]:
    return {
        "rows": len(true),
        "inside": int(((low <= true) & (true <= high)).sum()),
        "width": float((high - low).sum()),
        "ratios": sketch(high / low),
    }


def _merged_coverage(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    rows = sum(one["rows"] for one in found)
    if not rows:
        return {"rows": 0}
    return {
        "rows": rows,
        "coverage": 100 * sum(one["inside"] for one in found) / rows,
        "mean_width": sum(one["width"] for one in found) / rows,
        "relative_width": quantile(merged_sketch(one["ratios"] for one in found), 0.5),
    }
