"""What duplicates across splits do to the SMAPE that is reported.

Shapes: ``N`` reported products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.checks.frame_checks import refuse_other_rows
from price_fusion.data.roles import rows_to_report
from price_fusion.data.splits import evaluated_split
from price_fusion.lazy import pd
from price_fusion.metrics.bootstrap import bootstrap_means, interval

LEAST_PRODUCTS = 5
"""Of each part; with fewer there is no interval."""
FITTED = ("train", "validation")


def leak_effect(
    results: pd.DataFrame,
    overlapping: pd.DataFrame,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    *,
    resamples: int,
) -> dict[str, Any]:
    """SMAPE with and without the reported products that have a counterpart among the rows that models fit or stop on.

    Args:
        results: SMAPE per reported product, as evaluation gives them.
        overlapping: ``Overlaps.products``.
        samples: the sample table, labelled.
        split_table: in its order.
        resamples: of the bootstrap, over groups of products that belong together.

    Returns:
        ``split``, ``rows``, ``smape`` in percent, and ``by_kind``: per kind of overlap, and for all kinds together, the
        products concerned, their SMAPE, that of the others, and ``raised_points``: by how much SMAPE rises when they are
        left out, with a 95 % interval.

    Raises:
        ComparisonError: if the results are not of the rows that the split reports.
    """
    chosen = rows_to_report(split_table)
    reported = samples.iloc[chosen]
    refuse_other_rows(results, reported)
    split = evaluated_split(split_table)
    concerned = overlapping[(overlapping["of"] == split) & overlapping["among"].isin(FITTED)]
    parts = {f"{kind} {source}".strip(): rows for (kind, source), rows in concerned.groupby(["kind", "source"])}
    smape = results["smape"].to_numpy(np.float64)
    by_kind = {
        name: _with_and_without(
            smape,
            reported["sample_id"].astype(str).isin(rows["sample_id"]).to_numpy(),
            reported["group_key"].to_numpy(),
            resamples,
        )
        for name, rows in [*parts.items(), ("any", concerned)]
    }
    return {"split": split, "rows": len(results), "smape": float(smape.mean()), "by_kind": by_kind}


def _with_and_without(
    smape: NDArray[np.float64], is_leak: NDArray[np.bool_], groups: NDArray[np.int64], resamples: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {"products": int(is_leak.sum()), "smape": None, "smape_of_others": None}
    figures |= dict.fromkeys(("raised_points", "raised_points_low", "raised_points_high"))
    if is_leak.any():
        figures["smape"] = float(smape[is_leak].mean())
    if not is_leak.all():
        figures["smape_of_others"] = float(smape[~is_leak].mean())
    if min(is_leak.sum(), (~is_leak).sum()) >= LEAST_PRODUCTS:
        columns = np.column_stack([smape, smape * ~is_leak, ~is_leak])
        means = bootstrap_means(columns, groups, resamples=resamples)
        means = means[means[:, 2] > 0]
        low, high = interval(means[:, 1] / means[:, 2] - means[:, 0])
        figures["raised_points"] = figures["smape_of_others"] - float(smape.mean())
        figures |= {"raised_points_low": low, "raised_points_high": high}
    return figures
