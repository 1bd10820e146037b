"""From the sample table to a split table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from price_fusion.data.ids import Ids
from price_fusion.data.splits import report_split, split_samples
from price_fusion.parameters import SplittingParameters


def split_products(
    samples: pd.DataFrame, splitting: SplittingParameters, seed: int, **tuned_on: Ids
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Split table and its report; ``tuned_on`` holds, per source, the ids that its encoder was tuned on."""
    table = split_samples(
        samples,
        fractions=splitting.fractions,
        price_quantiles=splitting.price_quantiles,
        folds=splitting.folds,
        tuned_on=tuned_on,
        seed=seed,
    )
    return table, report_split(samples, table, tuned_on)
