"""What is remembered of the labels of each partition of products or samples, and what follows from them for all."""

from __future__ import annotations

from typing import Any

from price_fusion.data.money import rounded
from price_fusion.data.partitions.sketches import merged_sketch, quantile, sketch
from price_fusion.data.splits import NO_FOLD, SPLITS
from price_fusion.lazy import pd
from price_fusion.storage.partitions.parts import Partitions

LABELS = ("price", "split", "fold", "half", "tuned_on")
"""Columns that labelled products have beside those of all products."""


def label_summary(products: pd.DataFrame) -> dict[str, Any]:
    """Rows, prices and folds of a partition by split.

    Args:
        products: with ``row``, ``group_key`` and ``LABELS``.
    """
    groups = dict(list(products.groupby("split")))
    prices = {
        str(name): {
            "sum": float(rows["price"].sum()),
            "sketch": sketch(rows["price"].to_numpy()),
            "tuned_on": int(rows["tuned_on"].sum()),
            "groups": int((rows["row"] == rows["group_key"]).sum()),  # its first product stands for a group
        }
        for name, rows in groups.items()
    }
    folds = products.loc[products["fold"] != NO_FOLD, "fold"].value_counts()
    return {
        "splits": {name: len(groups.get(name, ())) for name in SPLITS},
        "prices": prices,
        "folds": {str(fold): int(rows) for fold, rows in folds.items()},
    }


def merged_split(products: Partitions) -> dict[str, Any]:
    """The split report of all partitions of products; median prices are right to 0.1 %."""
    parts = products.summaries
    splits = {}
    for name in SPLITS:
        prices = [part["prices"][name] for part in parts if name in part["prices"]]
        rows = sum(part["splits"][name] for part in parts)
        splits[name] = {
            "rows": rows,
            "groups": sum(one["groups"] for one in prices),
            "median_price": rounded(quantile(merged_sketch(one["sketch"] for one in prices), 0.5)) if rows else None,
            "mean_price": rounded(sum(one["sum"] for one in prices) / rows) if rows else None,
            "rows_tuned_on": sum(one["tuned_on"] for one in prices),
        }
    folds = sorted({int(fold) for part in parts for fold in part["folds"]})
    return {
        "rows": sum(split["rows"] for split in splits.values()),
        "splits": splits,
        "folds": {str(fold): sum(part["folds"].get(str(fold), 0) for part in parts) for fold in folds},
        "tuned_on": {},
    }
